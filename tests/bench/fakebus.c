/* I2C adapters and SPI devices without a kernel: an LD_PRELOAD library that serves the ioctls of i2c-dev and spidev.
 *
 * The devices are files in $FAKEBUS_DIR, which a test writes while the program runs:
 *   i2c-N                 the adapter /dev/i2c-N is there
 *   i2c-N-AA.reg          the 256 registers of the chip at 0xAA; without a file nobody answers (EREMOTEIO)
 *   i2c-N-AA.words        the same, of a chip whose registers have 16 bits each, the high byte first
 *   i2c-N-AA.answer       the bytes that a chip without registers says, whatever is written to it
 *   i2c-N-AA.port         eight lines with weak outputs, as of a PCF8574: the byte that was written, and the levels outside
 *   i2c-N-AA.sent         what has been written to one of these two, a message a line, in hexadecimal
 *   i2c-N-AA.err, .delay  an errno to fail with; milliseconds to answer after
 *   i2c-N.stuck           the bus is stuck: the caller hangs until the file is gone
 *   spiB.C                the device /dev/spidevB.C is there
 *   spiB.C.mcp3008        eight 16-bit numbers, little endian: the inputs of such a chip (.mcp3208 likewise)
 *   spiB.C.echo           the bytes that come back, whatever is sent; what is sent is in .sent, as above
 *   spiB.C.err, .delay    as above
 *   sys/                  what is in /sys/bus/i2c and /sys/bus/spi: which driver of the kernel has a chip
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/i2c-dev.h>
#include <linux/i2c.h>
#include <linux/spi/spidev.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum kind { NONE, I2C, SPI };

struct device {
    enum kind kind;
    int bus, select, address;
    uint8_t pointer, mode, bits;
    uint32_t speed;
};

#define MOST_FILES 1024
static struct device devices[MOST_FILES];

static int (*real_openat)(int, const char *, int, ...);
static int (*real_ioctl)(int, unsigned long, ...);
static int (*real_close)(int);

__attribute__((constructor)) static void find_real(void)
{
    real_openat = dlsym(RTLD_NEXT, "openat");
    real_ioctl = dlsym(RTLD_NEXT, "ioctl");
    real_close = dlsym(RTLD_NEXT, "close");
}

static int open_in_folder(int flags, const char *name, const char *suffix)
{
    char path[512];
    const char *folder = getenv("FAKEBUS_DIR");
    snprintf(path, sizeof path, "%s/%s%s", folder ? folder : "/nonexistent", name, suffix);
    return real_openat(AT_FDCWD, path, flags);
}

/* The bytes of a file; -1 where it is not there. */
static int read_file(const char *name, const char *suffix, void *out, size_t size)
{
    int file = open_in_folder(O_RDONLY, name, suffix);
    if (file < 0)
        return -1;
    int count = read(file, out, size);
    real_close(file);
    return count;
}

static int read_number(const char *name, const char *suffix)
{
    char text[16] = {0};
    return read_file(name, suffix, text, sizeof text - 1) > 0 ? atoi(text) : 0;
}

/* -2 where the path is none of ours. */
static int open_ours(const char *path)
{
    int bus, select = 0;
    char name[32], more;
    enum kind kind;
    if (sscanf(path, "/dev/i2c-%d%c", &bus, &more) == 1) {
        kind = I2C;
        snprintf(name, sizeof name, "i2c-%d", bus);
    } else if (sscanf(path, "/dev/spidev%d.%d%c", &bus, &select, &more) == 2) {
        kind = SPI;
        snprintf(name, sizeof name, "spi%d.%d", bus, select);
    } else {
        return -2;
    }
    if (read_file(name, "", &more, 1) < 0) {
        errno = ENOENT;
        return -1;
    }
    int file = memfd_create(path, MFD_CLOEXEC);
    if (file >= 0 && file < MOST_FILES)
        devices[file] = (struct device){.kind = kind, .bus = bus, .select = select, .bits = 8, .speed = 500000};
    return file;
}

#define OPEN(name, parameters, real)                                                                                   \
    int name parameters                                                                                                \
    {                                                                                                                  \
        int mode = 0;                                                                                                  \
        if (flags & (O_CREAT | O_TMPFILE)) {                                                                           \
            va_list more;                                                                                              \
            va_start(more, flags);                                                                                     \
            mode = va_arg(more, int);                                                                                  \
            va_end(more);                                                                                              \
        }                                                                                                              \
        int ours = open_ours(path);                                                                                    \
        return ours != -2 ? ours : real;                                                                               \
    }
OPEN(open, (const char *path, int flags, ...), real_openat(AT_FDCWD, path, flags, mode))
OPEN(open64, (const char *path, int flags, ...), real_openat(AT_FDCWD, path, flags, mode))
OPEN(openat, (int folder, const char *path, int flags, ...), real_openat(folder, path, flags, mode))
OPEN(openat64, (int folder, const char *path, int flags, ...), real_openat(folder, path, flags, mode))

/* Files of the kernel are in the folder, as Python looks for them. */
static const char *ours(const char *path, char *room, size_t size)
{
    if (strncmp(path, "/sys/bus/i2c/", 13) && strncmp(path, "/sys/bus/spi/", 13))
        return path;
    snprintf(room, size, "%s%s", getenv("FAKEBUS_DIR"), path);
    return room;
}

#define LOOK(type, name, parameters, ...)                                                                              \
    type name parameters                                                                                               \
    {                                                                                                                  \
        static type(*real) parameters;                                                                                 \
        char room[512];                                                                                                \
        if (!real)                                                                                                     \
            real = dlsym(RTLD_NEXT, #name);                                                                            \
        path = ours(path, room, sizeof room);                                                                          \
        return real(__VA_ARGS__);                                                                                      \
    }
LOOK(int, stat, (const char *path, struct stat *out), path, out)
LOOK(int, stat64, (const char *path, struct stat64 *out), path, out)
LOOK(int, lstat, (const char *path, struct stat *out), path, out)
LOOK(int, lstat64, (const char *path, struct stat64 *out), path, out)
LOOK(ssize_t, readlink, (const char *path, char *out, size_t size), path, out, size)

int close(int file)
{
    if (file >= 0 && file < MOST_FILES)
        devices[file].kind = NONE;
    return real_close(file);
}

/* Wait, and fail, as the test wants it. */
static int gate(const char *name)
{
    int delay = read_number(name, ".delay"), error = read_number(name, ".err");
    if (delay)
        usleep(1000 * delay);
    if (!error)
        return 0;
    errno = error;
    return -1;
}

/* Add what was sent to the log of a chip. */
static void note(const char *name, const uint8_t *data, int length)
{
    char path[512], line[512];
    int at = 0;
    for (int i = 0; i < length && at < (int)sizeof line - 8; i++)
        at += sprintf(line + at, "%02x ", data[i]);
    if (!at)
        return;
    line[at - 1] = '\n';
    snprintf(path, sizeof path, "%s/%s.sent", getenv("FAKEBUS_DIR"), name);
    int file = real_openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (file < 0)
        return;
    if (write(file, line, at) != at)
        abort();
    real_close(file);
}

/* A chip without registers. 1 where it is none. */
static int plain_message(const char *name, int is_read, uint8_t *data, int length)
{
    uint8_t answer[256];
    int known = read_file(name, ".answer", answer, sizeof answer), file = -1;
    if (known < 0) {
        file = open_in_folder(O_RDWR, name, ".port");
        if (file < 0)
            return 1;
    }
    if (!is_read)
        note(name, data, length);
    if (file < 0) {
        for (int i = 0; is_read && i < length; i++)
            data[i] = i < known ? answer[i] : 0xff;
        return 0;
    }
    if (!is_read && length && pwrite(file, &data[length - 1], 1, 0) != 1)
        abort();
    if (pread(file, answer, 2, 0) != 2)
        abort();
    real_close(file);
    for (int i = 0; is_read && i < length; i++)
        data[i] = answer[0] & answer[1];
    return 0;
}

static int i2c_message(struct device *device, int address, int is_read, uint8_t *data, int length)
{
    char bus[32], name[32], byte;
    snprintf(bus, sizeof bus, "i2c-%d", device->bus);
    snprintf(name, sizeof name, "i2c-%d-%02x", device->bus, address);
    while (read_file(bus, ".stuck", &byte, 1) >= 0)
        usleep(10000);
    if (read_file(bus, "", &byte, 1) < 0) {
        errno = ENODEV;
        return -1;
    }
    if (gate(name))
        return -1;
    int file = open_in_folder(O_RDWR, name, ".reg"), step = 1;
    if (file < 0) {
        file = open_in_folder(O_RDWR, name, ".words");
        step = 2;
    }
    if (file < 0) {
        int result = plain_message(name, is_read, data, length);
        if (result > 0)
            errno = EREMOTEIO;
        return -result;
    }
    uint8_t *registers = mmap(0, 256 * step, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    real_close(file);
    if (registers == MAP_FAILED)
        return -1;
    if (!is_read && length)
        device->pointer = data[0];
    /* In a register of 16 bits, one reads on in that register; otherwise in the next. */
    for (int i = is_read ? 0 : 1, at = 0; i < length; i++, at++) {
        uint8_t *here = &registers[step == 1 ? (uint8_t)(device->pointer + at) : device->pointer * 2 + at % 2];
        if (is_read)
            data[i] = *here;
        else
            *here = data[i];
    }
    if (step == 1 && length)
        device->pointer += is_read ? length : length - 1;
    munmap(registers, 256 * step);
    return 0;
}

static int i2c_ioctl(struct device *device, unsigned long request, void *argument)
{
    switch (request) {
    case I2C_FUNCS:
        *(unsigned long *)argument = I2C_FUNC_I2C | I2C_FUNC_SMBUS_EMUL;
        return 0;
    case I2C_SLAVE:
    case I2C_SLAVE_FORCE:
        device->address = (long)argument;
        return 0;
    case I2C_TIMEOUT:
    case I2C_RETRIES:
    case I2C_PEC:
        return 0;
    case I2C_RDWR: {
        struct i2c_rdwr_ioctl_data *all = argument;
        for (unsigned i = 0; i < all->nmsgs; i++) {
            struct i2c_msg *each = &all->msgs[i];
            if (i2c_message(device, each->addr, each->flags & I2C_M_RD, each->buf, each->len))
                return -1;
        }
        return all->nmsgs;
    }
    }
    errno = ENOTTY;
    return -1;
}

/* The bits of an MCP3008 or MCP3208: a start bit, single-ended or not, three bits of the channel, a bit of rest, a zero,
 * and the number, the highest bit first. */
static void mcp(const uint16_t *inputs, int bits, const struct spi_ioc_transfer *all, int count)
{
    int bit = -1, is_single = 0, channel = 0, number = 0;
    for (int i = 0; i < count; i++) {
        const uint8_t *sent = (const uint8_t *)(uintptr_t)all[i].tx_buf;
        uint8_t *got = (uint8_t *)(uintptr_t)all[i].rx_buf;
        for (unsigned j = 0; j < all[i].len; j++) {
            uint8_t out = 0;
            for (int k = 7; k >= 0; k--) {
                int in = sent ? sent[j] >> k & 1 : 0, answer = 0;
                if (bit < 0) {
                    bit = in ? 0 : -1;
                } else if (++bit == 1) {
                    is_single = in;
                } else if (bit <= 4) {
                    channel = channel << 1 | in;
                    if (bit == 4) {
                        number = inputs[channel & 7] - (is_single ? 0 : inputs[(channel ^ 1) & 7]);
                        number = number < 0 ? 0 : number & ((1 << bits) - 1);
                    }
                } else if (bit >= 7 && bit < 7 + bits) {
                    answer = number >> (6 + bits - bit) & 1;
                }
                out = out << 1 | answer;
            }
            if (got)
                got[j] = out;
        }
    }
}

static int spi_transfer(struct device *device, struct spi_ioc_transfer *all, int count)
{
    char name[32], byte;
    uint16_t inputs[8];
    uint8_t echo[4096];
    int total = 0;
    snprintf(name, sizeof name, "spi%d.%d", device->bus, device->select);
    if (read_file(name, "", &byte, 1) < 0) {
        errno = ESHUTDOWN;
        return -1;
    }
    if (gate(name))
        return -1;
    int echoed = read_file(name, ".echo", echo, sizeof echo);
    for (int i = 0; i < count; i++) {
        uint8_t *got = (uint8_t *)(uintptr_t)all[i].rx_buf;
        if (echoed >= 0)
            note(name, (const uint8_t *)(uintptr_t)all[i].tx_buf, all[i].len);
        for (unsigned j = 0; got && j < all[i].len; j++, total++)
            got[j] = total < echoed ? echo[total] : 0xff;
    }
    if (read_file(name, ".mcp3008", inputs, sizeof inputs) == sizeof inputs)
        mcp(inputs, 10, all, count);
    else if (read_file(name, ".mcp3208", inputs, sizeof inputs) == sizeof inputs)
        mcp(inputs, 12, all, count);
    return total;
}

static int spi_ioctl(struct device *device, unsigned long request, void *argument)
{
    switch (request) {
    case SPI_IOC_RD_MODE:
        *(uint8_t *)argument = device->mode;
        return 0;
    case SPI_IOC_WR_MODE:
        device->mode = *(uint8_t *)argument;
        return 0;
    case SPI_IOC_RD_MODE32:
        *(uint32_t *)argument = device->mode;
        return 0;
    case SPI_IOC_WR_MODE32:
        device->mode = *(uint32_t *)argument;
        return 0;
    case SPI_IOC_RD_BITS_PER_WORD:
        *(uint8_t *)argument = device->bits;
        return 0;
    case SPI_IOC_WR_BITS_PER_WORD:
        device->bits = *(uint8_t *)argument;
        return 0;
    case SPI_IOC_RD_MAX_SPEED_HZ:
        *(uint32_t *)argument = device->speed;
        return 0;
    case SPI_IOC_WR_MAX_SPEED_HZ:
        device->speed = *(uint32_t *)argument;
        return 0;
    case SPI_IOC_RD_LSB_FIRST:
        *(uint8_t *)argument = 0;
        return 0;
    case SPI_IOC_WR_LSB_FIRST:
        return 0;
    }
    if (_IOC_TYPE(request) == SPI_IOC_MAGIC && _IOC_NR(request) == 0)
        return spi_transfer(device, argument, _IOC_SIZE(request) / sizeof(struct spi_ioc_transfer));
    errno = ENOTTY;
    return -1;
}

int ioctl(int file, unsigned long request, ...)
{
    va_list more;
    va_start(more, request);
    void *argument = va_arg(more, void *);
    va_end(more);
    struct device *device = file >= 0 && file < MOST_FILES ? &devices[file] : NULL;
    if (device && device->kind == I2C)
        return i2c_ioctl(device, request, argument);
    if (device && device->kind == SPI)
        return spi_ioctl(device, request, argument);
    return real_ioctl(file, request, argument);
}
