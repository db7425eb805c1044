#include "server/rows.h"

#include <sodium.h>
#include <string.h>

#include "server/text.h"

/* Is this `{"key": …`? Then *ret_rest is what follows the bracket. */
static bool record_has_key(struct slice value, struct slice *ret_rest)
{
    struct slice text = text_trim(value);
    if (text.len == 0 || text.data[0] != '{') return false;
    struct slice rest = { text.data + 1, text.len - 1 };
    struct slice name = text_trim(rest);
    static const char key[] = "\"key\"";
    if (name.len < sizeof key || memcmp(name.data, key, sizeof key - 1) != 0) return false;
    *ret_rest = rest;
    return true;
}

static void record_put_base64(struct slice value, struct buf *out)
{
    size_t size = sodium_base64_encoded_len(value.len, sodium_base64_VARIANT_ORIGINAL);
    if (buf_reserve(out, size) != OK) return;
    (void)sodium_bin2base64(out->data + out->len, size, (const unsigned char *)value.data, value.len,
                            sodium_base64_VARIANT_ORIGINAL);
    out->len += size - 1;
}

int record_print(const struct log_record *record, struct buf *out)
{
    struct slice value = record->value, rest;
    (void)buf_puts(out, "{\"seq\":");
    (void)buf_put_int(out, record->seq);
    (void)buf_putc(out, ',');
    if (!json_valid(value)) {
        (void)buf_puts(out, "\"base64\":\"");
        record_put_base64(value, out);
        (void)buf_puts(out, "\"}");
    } else if (record_has_key(value, &rest)) {
        json_put_line(out, rest);
    } else {
        (void)buf_puts(out, "\"value\":");
        json_put_line(out, value);
        (void)buf_putc(out, '}');
    }
    return out->err;
}
