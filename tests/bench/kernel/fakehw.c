/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * Hardware of a Pi that is not there, for the User-Mode Linux kernel of the tests: the kernel's own i2c-dev, spidev and
 * w1_therm are on top of it, unchanged.
 *
 *   /dev/i2c-1                            a chip with 256 registers at 0x76
 *   /dev/spidev0.0                        an MCP3008
 *   /sys/bus/w1/devices/28-00000588806a   two DS18B20; the second is 28-0000058bfaaa; and a DS18S20, 10-000802be73fa
 *   /sys/bus/iio/devices/iio:device0      a DHT22, as the kernel's driver shows it
 *
 * A test says how they are in /sys/module/fakehw/parameters:
 *   reg            "f7=65" writes a register of the chip; hexadecimal
 *   i2c_absent     1: the chip is unplugged, so that nobody acknowledges
 *   i2c_err        an errno for every transfer: 110 a timeout of the bus
 *   i2c_delay_ms   answer late
 *   i2c_stuck      1: the bus is stuck; whoever uses it hangs until it is 0
 *   adc            the eight inputs of the MCP3008
 *   spi_err        an errno for every transfer
 *   w1_sixteenths  the temperatures of the sensors, in 1/16 degrees: 1360 is 85 degrees, as after power-on
 *   w1_bad_crc     1: what that sensor sends arrives broken
 *   w1_absent      1: that sensor is unplugged
 *   w1_stuck       1: whoever has that sensor measure hangs until it is 0, and the bus with it
 *   dht_measured   thousandths of degrees and of percent
 *   dht_err        an errno for every read: 110 no answer, 5 a wrong checksum
 *   dht_absent     1: it is not in the device tree
 */
#include <linux/delay.h>
#include <linux/i2c.h>
#include <linux/iio/iio.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/sched/signal.h>
#include <linux/spi/spi.h>
#include <linux/version.h>
#include <linux/w1.h>

/* -- I2C ------------------------------------------------------------------------------------------------------------ */

#define CHIP 0x76

static bool i2c_absent, i2c_stuck;
static int i2c_err, i2c_delay_ms;
module_param(i2c_absent, bool, 0644);
module_param(i2c_stuck, bool, 0644);
module_param(i2c_err, int, 0644);
module_param(i2c_delay_ms, int, 0644);

static u8 registers[256] = {[0xd0] = 0x60};
static u8 pointer;

static int write_register(const char *text, const struct kernel_param *parameter)
{
    unsigned int at, byte;
    if (sscanf(text, "%x=%x", &at, &byte) != 2 || at > 0xff || byte > 0xff)
        return -EINVAL;
    registers[at] = byte;
    return 0;
}

static int read_registers(char *out, const struct kernel_param *parameter)
{
    int i, length = 0;
    for (i = 0; i < 256; i++)
        length += sprintf(out + length, "%02x%c", registers[i], i % 16 == 15 ? '\n' : ' ');
    return length;
}

static const struct kernel_param_ops register_ops = {.set = write_register, .get = read_registers};
module_param_cb(reg, &register_ops, NULL, 0644);

static int i2c_transfer_all(struct i2c_adapter *adapter, struct i2c_msg *messages, int count)
{
    int i, j;
    /* A killed process must get out of it: on a Pi too, a driver's wait can be killed. */
    while (READ_ONCE(i2c_stuck) && !fatal_signal_pending(current))
        msleep(10);
    if (i2c_delay_ms)
        msleep(i2c_delay_ms);
    if (i2c_err)
        return -i2c_err;
    for (i = 0; i < count; i++) {
        struct i2c_msg *each = &messages[i];
        if (i2c_absent || each->addr != CHIP)
            return -EREMOTEIO; /* As i2c-bcm2835 does where nobody acknowledges. */
        for (j = 0; j < each->len; j++) {
            if (each->flags & I2C_M_RD)
                each->buf[j] = registers[pointer++];
            else if (j == 0)
                pointer = each->buf[0];
            else
                registers[pointer++] = each->buf[j];
        }
    }
    return count;
}

static u32 i2c_functions(struct i2c_adapter *adapter)
{
    return I2C_FUNC_I2C | I2C_FUNC_SMBUS_EMUL;
}

static const struct i2c_algorithm i2c_ops = {.master_xfer = i2c_transfer_all, .functionality = i2c_functions};
static struct i2c_adapter adapter = {.owner = THIS_MODULE, .name = "fake i2c", .algo = &i2c_ops, .nr = 1};

/* -- SPI ------------------------------------------------------------------------------------------------------------ */

static u16 adc[8] = {570, 1023, 0, 1, 2, 3, 4, 512};
static int spi_err;
module_param_array(adc, ushort, NULL, 0644);
module_param(spi_err, int, 0644);

/* The bits of an MCP3008: a start bit, single-ended or not, three bits of the channel, a bit of rest, a zero, and the ten
 * bits of the number, the highest first. The chip stays selected during the whole message. */
struct conversion {
    int bit, is_single, channel, number;
};

static int next_bit(struct conversion *state, int in)
{
    if (state->bit < 0) {
        state->bit = in ? 0 : -1;
        return 0;
    }
    state->bit++;
    if (state->bit == 1) {
        state->is_single = in;
    } else if (state->bit <= 4) {
        state->channel = state->channel << 1 | in;
        if (state->bit == 4)
            state->number = max(0, adc[state->channel] - (state->is_single ? 0 : adc[state->channel ^ 1])) & 0x3ff;
    } else if (state->bit >= 7 && state->bit <= 16) {
        return state->number >> (16 - state->bit) & 1;
    }
    return 0;
}

static int spi_transfer_all(struct spi_controller *controller, struct spi_message *message)
{
    struct conversion state = {.bit = -1};
    struct spi_transfer *each;
    list_for_each_entry(each, &message->transfers, transfer_list) {
        const u8 *sent = each->tx_buf;
        u8 *got = each->rx_buf;
        unsigned int i;
        int k;
        for (i = 0; i < each->len; i++) {
            u8 out = 0;
            for (k = 7; k >= 0; k--)
                out = out << 1 | next_bit(&state, sent ? sent[i] >> k & 1 : 0);
            if (got)
                got[i] = out;
        }
        message->actual_length += each->len;
    }
    message->status = -spi_err;
    spi_finalize_current_message(controller);
    return 0;
}

static int spi_set_up(struct spi_device *device)
{
    return 0;
}

/* -- 1-Wire --------------------------------------------------------------------------------------------------------- */

#define SENSORS 3

/* Commands of the bus and of a DS18B20; its data sheet names them so. */
enum { READ_ROM = 0x33, MATCH_ROM = 0x55, SKIP_ROM = 0xcc, CONVERT = 0x44, READ_SCRATCHPAD = 0xbe };

static int w1_sixteenths[SENSORS] = {370, 320, 304};
static bool w1_bad_crc[SENSORS], w1_absent[SENSORS], w1_stuck[SENSORS];
module_param_array(w1_sixteenths, int, NULL, 0644);
module_param_array(w1_bad_crc, bool, NULL, 0644);
module_param_array(w1_absent, bool, NULL, 0644);
module_param_array(w1_stuck, bool, NULL, 0644);

/* The family, the number with its lowest byte first, and the checksum. */
static u8 roms[SENSORS][8] = {
    {0x28, 0x6a, 0x80, 0x88, 0x05, 0x00, 0x00, 0x00},
    {0x28, 0xaa, 0xfa, 0x8b, 0x05, 0x00, 0x00, 0x00},
    {0x10, 0xfa, 0x73, 0xbe, 0x02, 0x08, 0x00, 0x00},
};
/* 85 degrees until the first conversion: in 12 bits, and a DS18S20 in half degrees with a remainder. */
static u8 scratchpads[SENSORS][8] = {
    {0x50, 0x05, 0x4b, 0x46, 0x7f, 0xff, 0x0c, 0x10},
    {0x50, 0x05, 0x4b, 0x46, 0x7f, 0xff, 0x0c, 0x10},
    {0xaa, 0x00, 0x4b, 0x46, 0xff, 0xff, 0x0c, 0x10},
};

static enum { EXPECT_ROM_COMMAND, MATCHING, EXPECT_COMMAND } w1_state;
static u8 matched[8], answer[9];
static int matched_count, answer_at, answer_length;
static u8 selected; /* A bit for each sensor. */

static u8 checksum(const u8 *data, int count)
{
    u8 crc = 0;
    int bit;
    while (count--) {
        u8 byte = *data++;
        for (bit = 0; bit < 8; bit++, byte >>= 1)
            crc = crc >> 1 ^ ((crc ^ byte) & 1 ? 0x8c : 0);
    }
    return crc;
}

static u8 present(void)
{
    u8 who = 0;
    int i;
    for (i = 0; i < SENSORS; i++)
        who |= w1_absent[i] ? 0 : 1 << i;
    return who;
}

/* 0 where somebody is there. */
static u8 w1_reset(void *data)
{
    w1_state = EXPECT_ROM_COMMAND;
    matched_count = answer_at = answer_length = 0;
    return present() ? 0 : 1;
}

static void select_sensors(u8 command)
{
    switch (command) {
    case SKIP_ROM:
        selected = present();
        w1_state = EXPECT_COMMAND;
        break;
    case MATCH_ROM:
        w1_state = MATCHING;
        break;
    case READ_ROM:
        if (present()) {
            memcpy(answer, roms[__ffs(present())], 8);
            answer_length = 8;
        }
        break;
    }
}

static void w1_write(void *data, u8 byte)
{
    int i;
    if (w1_state == EXPECT_ROM_COMMAND) {
        select_sensors(byte);
        return;
    }
    if (w1_state == MATCHING) {
        matched[matched_count++] = byte;
        if (matched_count < 8)
            return;
        selected = 0;
        for (i = 0; i < SENSORS; i++)
            selected |= memcmp(matched, roms[i], 8) ? 0 : 1 << i;
        selected &= present();
        w1_state = EXPECT_COMMAND;
        return;
    }
    for (i = 0; i < SENSORS; i++) {
        if (!(selected & 1 << i))
            continue;
        if (byte == CONVERT) {
            int number = roms[i][0] == 0x10 ? w1_sixteenths[i] >> 3 : w1_sixteenths[i];
            while (READ_ONCE(w1_stuck[i]) && !fatal_signal_pending(current))
                msleep(10);
            scratchpads[i][0] = number;
            scratchpads[i][1] = number >> 8;
        } else if (byte == READ_SCRATCHPAD) {
            memcpy(answer, scratchpads[i], 8);
            answer[8] = checksum(answer, 8) ^ (w1_bad_crc[i] ? 0xff : 0);
            answer_at = 0;
            answer_length = 9;
        }
    }
}

/* A line that nobody drives is high. */
static u8 w1_read(void *data)
{
    return answer_at < answer_length ? answer[answer_at++] : 0xff;
}

static u8 w1_touch(void *data, u8 bit)
{
    return 1;
}

static void w1_search_all(void *data, struct w1_master *master, u8 type, w1_slave_found_callback found)
{
    int i;
    for (i = 0; i < SENSORS; i++) {
        __le64 rom;
        memcpy(&rom, roms[i], 8);
        if (!w1_absent[i])
            found(master, le64_to_cpu(rom));
    }
}

static struct w1_bus_master w1_ops = {
    .reset_bus = w1_reset,
    .write_byte = w1_write,
    .read_byte = w1_read,
    .touch_bit = w1_touch,
    .search = w1_search_all,
};

/* -- DHT ------------------------------------------------------------------------------------------------------------ */

static int dht_measured[2] = {21500, 45000};
static int dht_err;
static bool dht_absent;
module_param_array(dht_measured, int, NULL, 0644);
module_param(dht_err, int, 0644);

static int dht_read(struct iio_dev *device, struct iio_chan_spec const *channel, int *value, int *more, long what)
{
    if (dht_err)
        return -dht_err;
    *value = dht_measured[channel->type == IIO_TEMP ? 0 : 1];
    return IIO_VAL_INT;
}

static const struct iio_info dht_info = {.read_raw = dht_read};
static const struct iio_chan_spec dht_channels[] = {
    {.type = IIO_TEMP, .info_mask_separate = BIT(IIO_CHAN_INFO_PROCESSED)},
    {.type = IIO_HUMIDITYRELATIVE, .info_mask_separate = BIT(IIO_CHAN_INFO_PROCESSED)},
};
static struct platform_device *parent;
static struct iio_dev *dht;

static int plug_dht(void)
{
    int error;
    dht = iio_device_alloc(&parent->dev, 0);
    if (!dht)
        return -ENOMEM;
    dht->name = "dht11@4";
    dht->info = &dht_info;
    dht->channels = dht_channels;
    dht->num_channels = ARRAY_SIZE(dht_channels);
    error = iio_device_register(dht);
    if (error) {
        iio_device_free(dht);
        dht = NULL;
    }
    return error;
}

static void unplug_dht(void)
{
    iio_device_unregister(dht);
    iio_device_free(dht);
    dht = NULL;
}

static int set_dht_absent(const char *text, const struct kernel_param *parameter)
{
    int error = param_set_bool(text, parameter);
    if (error)
        return error;
    if (dht_absent && dht)
        unplug_dht();
    return dht_absent || dht ? 0 : plug_dht();
}

static const struct kernel_param_ops dht_absent_ops = {.set = set_dht_absent, .get = param_get_bool};
module_param_cb(dht_absent, &dht_absent_ops, &dht_absent, 0644);

/* -- the module ----------------------------------------------------------------------------------------------------- */

static struct spi_controller *controller;

static int __init fakehw_init(void)
{
    /* spidev takes devices of a few names only, of which this is one. */
    struct spi_board_info converter = {.modalias = "dh2228fv", .max_speed_hz = 1000000};
    int i, error;

    for (i = 0; i < SENSORS; i++)
        roms[i][7] = checksum(roms[i], 7);
    parent = platform_device_register_simple("fakehw", -1, NULL, 0);
    if (IS_ERR(parent))
        return PTR_ERR(parent);
    error = i2c_add_numbered_adapter(&adapter);
    if (error)
        goto no_i2c;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
    controller = spi_alloc_host(&parent->dev, 0);
#else
    controller = spi_alloc_master(&parent->dev, 0);
#endif
    if (!controller) {
        error = -ENOMEM;
        goto no_spi;
    }
    controller->bus_num = 0;
    controller->num_chipselect = 2;
    controller->transfer_one_message = spi_transfer_all;
    controller->setup = spi_set_up;
    controller->mode_bits = SPI_CPOL | SPI_CPHA | SPI_CS_HIGH | SPI_NO_CS;
    error = spi_register_controller(controller);
    if (error) {
        spi_controller_put(controller);
        goto no_spi;
    }
    if (!spi_new_device(controller, &converter)) {
        error = -ENODEV;
        goto no_device;
    }
    error = w1_add_master_device(&w1_ops);
    if (error)
        goto no_device;
    error = plug_dht();
    if (error)
        goto no_dht;
    return 0;

no_dht:
    w1_remove_master_device(&w1_ops);
no_device:
    spi_unregister_controller(controller);
no_spi:
    i2c_del_adapter(&adapter);
no_i2c:
    platform_device_unregister(parent);
    return error;
}

static void __exit fakehw_exit(void)
{
    if (dht)
        unplug_dht();
    w1_remove_master_device(&w1_ops);
    spi_unregister_controller(controller);
    i2c_del_adapter(&adapter);
    platform_device_unregister(parent);
}

module_init(fakehw_init);
module_exit(fakehw_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Hardware for tests that is not there");
