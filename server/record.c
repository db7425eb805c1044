#include "server/rows.h"

#include <sodium.h>
#include <string.h>

#include "server/plain.h"
#include "server/text.h"
#include "store/digits.h"
#include "store/private_record.h"
#include "views/view_record.h"

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

/* What stands around a record that is copied, at most. */
#define SPLICE_HEAD "{\"seq\":"
#define SPLICE_MAX (sizeof SPLICE_HEAD + DIGITS_MAX)

static const struct slice said_box1 = { "\"encrypted\":\"box1\",", 19 };

/* `{"seq":N,`, what is to be said about the record, and the object that follows, less its bracket. Returns the end; there has to be room for
 * SPLICE_MAX beside both. */
static char *splice_put(char *at, int64_t seq, struct slice said, struct slice rest)
{
    char digits[DIGITS_MAX];
    size_t first = digits_of((uint64_t)seq, digits), digit_count = sizeof digits - first;
    memcpy(at, SPLICE_HEAD, sizeof SPLICE_HEAD - 1);
    at += sizeof SPLICE_HEAD - 1;
    memcpy(at, digits + first, digit_count);
    at += digit_count;
    *at++ = ',';
    if (said.len > 0) memcpy(at, said.data, said.len);
    at += said.len;
    memcpy(at, rest.data, rest.len);
    return at + rest.len;
}

static int record_put_spliced(int64_t seq, struct slice said, struct slice rest, struct buf *out)
{
    if (buf_reserve(out, SPLICE_MAX + said.len + rest.len) != OK) return out->err;
    out->len = (size_t)(splice_put(out->data + out->len, seq, said, rest) - out->data);
    return OK;
}

/* The owner of a followed log may be deleting the record this moment: zeros are not shown as text. */
static bool record_braced(struct slice value)
{
    return value.data[0] == '{' && value.data[value.len - 1] == '}';
}

bool record_copy(const struct server *server, const struct log *log, const struct log_record *record, struct buf *out)
{
    struct slice value = record->value, said = { NULL, 0 };
    if (out->cap - out->len < SPLICE_MAX + said_box1.len + value.len) return false;
    enum plain_kind kind = plain_kind(server->plain, log, record);
    if (kind == PLAIN_UNKNOWN || !record_braced(value)) return false;
    if (kind == PLAIN_BOX1) said = said_box1;
    char *end = splice_put(out->data + out->len, record->seq, said, (struct slice){ value.data + 1, value.len - 1 });
    *end++ = '\n';
    out->len = (size_t)(end - out->data);
    return true;
}

/* `format`: how its content is encrypted; data NULL = it is not, or that is not to be said. */
static int record_put(const struct log_record *record, struct slice format, struct buf *out)
{
    struct slice value = record->value, rest;
    struct json_look look = { .one_line = true };
    bool valid = json_valid_look(value, &look);
    size_t start = out->len;
    (void)buf_puts(out, "{\"seq\":");
    (void)buf_put_int(out, record->seq);
    (void)buf_putc(out, ',');
    if (valid && format.data != NULL) {
        (void)buf_puts(out, "\"encrypted\":\"");
        (void)buf_append(out, format.data, format.len);
        (void)buf_puts(out, "\",");
    }
    if (valid && record_has_key(value, &rest) && !record_names_ours(value, &look)) {
        if (buf_append(out, rest.data, rest.len) == OK && !look.one_line) json_one_line(out, start);
        return out->err;
    }
    if (!valid) {
        (void)buf_puts(out, "\"base64\":\"");
        record_put_base64(value, out);
        (void)buf_puts(out, "\"}");
    } else {
        (void)buf_puts(out, "\"value\":");
        json_put_line(out, value);
        (void)buf_putc(out, '}');
    }
    return out->err;
}

int record_print(const struct log_record *record, struct buf *out)
{
    return record_put(record, (struct slice){ NULL, 0 }, out);
}

/* What was not known of the record. */
static enum plain_kind record_look(const struct server *server, const struct log *log, const struct log_record *record)
{
    if (!record_is_line(record->value)) return PLAIN_UNKNOWN;
    plain_note(server->plain, log, record);
    return PLAIN_COPY;
}

int record_show(const struct server *server, const struct log *log, const struct log_record *record, struct buf *out)
{
    struct slice value = record->value, format;
    enum plain_kind kind = plain_kind(server->plain, log, record);
    if (kind == PLAIN_UNKNOWN && private_record_format(value, &format)) return record_put(record, format, out);
    if (kind == PLAIN_UNKNOWN) kind = record_look(server, log, record);
    if (kind == PLAIN_UNKNOWN || !record_braced(value)) return record_print(record, out);
    struct slice said = kind == PLAIN_BOX1 ? said_box1 : (struct slice){ NULL, 0 };
    return record_put_spliced(record->seq, said, (struct slice){ value.data + 1, value.len - 1 }, out);
}
