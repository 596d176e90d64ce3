/* Texts of reports: lines, sizes. */
#include "admin/report.h"

#include "admin/cell.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

void report_print_slice(struct buf *out, struct slice text)
{
    buf_append_str(out, "{\"print\":");
    cell_put_string(out, text);
    buf_append_str(out, "}\n");
}

void report_print(struct buf *out, const char *fmt, ...)
{
    struct buf text = BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    report_print_slice(out, buf_slice(&text));
    buf_fini(&text);
}

void report_progress(struct buf *out, const char *fmt, ...)
{
    struct buf text = BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    buf_append_str(out, "{\"progress\":");
    cell_put_string(out, buf_slice(&text));
    buf_append_str(out, "}\n");
    buf_fini(&text);
}

void report_value(struct buf *out, struct slice json)
{
    buf_append_str(out, "{\"value\":");
    buf_append_slice(out, json);
    buf_append_str(out, "}\n");
}

static const struct {
    const char *name;
    double bytes;
} units[] = {[UNIT_BYTES] = {"b", 1},
             [UNIT_KB] = {"kb", 1e3},
             [UNIT_MB] = {"mb", 1e6},
             [UNIT_GB] = {"gb", 1e9}};

bool report_unit_parse(const char *name, enum report_unit *ret_unit)
{
    for (unsigned i = 0; i < sizeof units / sizeof *units; i++) {
        if (!strcmp(name, units[i].name) || (i == UNIT_BYTES && !strcmp(name, "bytes"))) {
            *ret_unit = (enum report_unit)i;
            return true;
        }
    }
    return false;
}

void report_put_size(struct buf *out, uint64_t bytes, enum report_unit unit)
{
    if (unit == UNIT_BYTES)
        buf_printf(out, "%" PRIu64 " b", bytes);
    else
        buf_printf(out, "%.6g %s", round((double)bytes / units[unit].bytes * 1e4) / 1e4,
                   units[unit].name);
}

bool report_parse_size(const char *text, uint64_t *ret_bytes)
{
    static const struct {
        const char *suffix;
        double factor;
    } factors[] = {{"", 1},         {"k", 0x1p10},   {"M", 0x1p20},   {"G", 0x1p30},
                   {"T", 0x1p40},   {"kiB", 0x1p10}, {"KiB", 0x1p10}, {"MiB", 0x1p20},
                   {"GiB", 0x1p30}, {"TiB", 0x1p40}, {"kB", 1e3},     {"KB", 1e3},
                   {"MB", 1e6},     {"GB", 1e9},     {"TB", 1e12}};
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    double n = strtod(text, &end);
    while (*end == ' ')
        end++;
    for (size_t i = 0; i < sizeof factors / sizeof *factors; i++) {
        double bytes = n * factors[i].factor;
        if (strcmp(end, factors[i].suffix) || !(bytes < 0x1p62))
            continue;
        *ret_bytes = (uint64_t)bytes;
        return true;
    }
    return false;
}
