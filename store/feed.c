#include "store/feed.h"

#include <inttypes.h>
#include <math.h>
#include <sodium.h>
#include <string.h>

#include "store/canonical_indent.h"
#include "store/err.h"

/* A UTF-16 unit takes at most three bytes: text beyond this is too long however its characters are counted. */
#define TEXT_MAX ((size_t)FEED_MESSAGE_MAX * 3)
#define RECORD_REST 256 /* what stands around the value at most */
#define RECORD_MAX (TEXT_MAX + RECORD_REST)

/* White space and escapes may blow up the text of a small message, but not without end. */
#define INPUT_MAX ((size_t)1 << 20)

#define TYPE_MIN 3
#define TYPE_MAX 52

#define SIGNATURE_SUFFIX ".sig.ed25519"
#define SIGNATURE_LEN (REF_SIGNATURE_TEXT + sizeof SIGNATURE_SUFFIX - 1)
#define SIGNATURE_BEFORE ",\n  \"signature\": \""
#define SIGNATURE_AFTER "\"\n}"

/* libsodium guards it against being called from several threads and answers at once after the first time. */
static int sodium_start(void)
{
    return sodium_init() < 0 ? err_set(ERR_IO, "libsodium could not be started") : OK;
}

static bool slice_is(struct slice slice, const char *text)
{
    return slice.data != NULL && slice.len == strlen(text) && memcmp(slice.data, text, slice.len) == 0;
}

static bool key_is(const struct canonical *node, const char *key)
{
    return slice_is((struct slice){ node->key, node->key_len }, key);
}

static int check_keys(const struct canonical *value)
{
    static const char *const keys[] = { "previous", NULL, NULL, "timestamp", "hash", "content", "signature" };
    if (value->kind != CANONICAL_OBJECT) return err_set(ERR_INVALID, "a message must be an object");
    const struct canonical *items = value->as.items;
    bool right = value->len == 7;
    for (size_t i = 0; right && i < 7; i++)
        right = keys[i] == NULL || key_is(&items[i], keys[i]);
    right = right && ((key_is(&items[1], "author") && key_is(&items[2], "sequence")) ||
                      (key_is(&items[1], "sequence") && key_is(&items[2], "author")));
    if (right) return OK;
    return err_set(ERR_INVALID,
                   "a message must have exactly the keys previous, author, sequence, timestamp, hash, content, "
                   "signature, in this order (author and sequence may change places)");
}

static int check_author(const struct canonical *value, struct feed_message *message)
{
    struct slice text = canonical_string(canonical_member(value, "author"));
    if (text.data != NULL && ref_parse(text.data, text.len, &message->author) == OK && message->author.kind == REF_FEED)
        return OK;
    return err_set(ERR_INVALID, "author must be a feed id: @, 32 bytes in canonical base64, .ed25519");
}

static int check_sequence(const struct canonical *value, struct feed_message *message)
{
    const struct canonical *node = canonical_member(value, "sequence");
    double n = node->kind == CANONICAL_NUMBER ? node->as.number : 0;
    if (!(n >= 1 && n <= INT32_MAX) || (double)(int32_t)n != n)
        return err_set(ERR_INVALID, "sequence must be a whole number from 1 to 2147483647");
    message->sequence = (int64_t)n;
    return OK;
}

static int check_previous(const struct canonical *value, struct feed_message *message)
{
    const struct canonical *node = canonical_member(value, "previous");
    if (node->kind == CANONICAL_NULL) return OK;
    struct slice text = canonical_string(node);
    if (text.data == NULL || ref_parse(text.data, text.len, &message->previous) != OK ||
        message->previous.kind != REF_MESSAGE)
        return err_set(ERR_INVALID, "previous must be null or a message id: %%, 32 bytes in canonical base64, .sha256");
    message->has_previous = true;
    return OK;
}

/* Only the first message of a feed must have a number here: that is what the network has always accepted. */
static int check_timestamp(const struct canonical *value, struct feed_message *message)
{
    const struct canonical *node = canonical_member(value, "timestamp");
    bool number = node->kind == CANONICAL_NUMBER;
    if (!number && message->sequence == 1)
        return err_set(ERR_INVALID, "timestamp must be a number in a feed's first message");
    message->timestamp = number ? node->as.number : NAN;
    return OK;
}

static bool base64_char(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
}

/* Whole base64 whose unused last bits are zero; empty is fine. */
static bool base64_canonical(const char *text, size_t len)
{
    size_t chars = 0;
    while (chars < len && base64_char(text[chars]))
        chars++;
    size_t pad = len - chars;
    if (len % 4 != 0 || pad > 2 || (pad > 0 && text[len - 1] != '=') || (pad == 2 && text[len - 2] != '='))
        return false;
    if (pad == 0) return true;
    return strchr(pad == 2 ? "AQgw" : "AEIMQUYcgkosw048", text[chars - 1]) != NULL;
}

/* U+2028 and U+2029 in UTF-8, and the ASCII line ends: what the dot of a JavaScript regular expression leaves out. */
static bool line_end_in(const char *text, size_t len)
{
    return memchr(text, '\n', len) != NULL || memchr(text, '\r', len) != NULL ||
           memmem(text, len, "\xE2\x80\xA8", 3) != NULL || memmem(text, len, "\xE2\x80\xA9", 3) != NULL;
}

/* base64, ".box", and any suffix, for kinds of encryption to come. */
static bool encrypted_is(struct slice text)
{
    const char *dot = memchr(text.data, '.', text.len);
    if (dot == NULL) return false;
    size_t before = (size_t)(dot - text.data), after = text.len - before;
    return after >= 4 && memcmp(dot, ".box", 4) == 0 && base64_canonical(text.data, before) && !line_end_in(dot, after);
}

static int check_content(const struct canonical *value)
{
    const struct canonical *content = canonical_member(value, "content");
    struct slice text = canonical_string(content);
    if (text.data != NULL) {
        if (encrypted_is(text)) return OK;
        return err_set(ERR_INVALID, "content that is a string must be encrypted: canonical base64, then .box");
    }
    if (content->kind != CANONICAL_OBJECT)
        return err_set(ERR_INVALID, "content must be an object, or an encrypted string");
    struct slice type = canonical_string(canonical_member(content, "type"));
    if (type.data == NULL) return err_set(ERR_INVALID, "content.type must be a string");
    size_t units = canonical_utf16_length(type.data, type.len);
    if (units < TYPE_MIN || units > TYPE_MAX)
        return err_set(ERR_INVALID, "content.type must have %d to %d characters, not %zu", TYPE_MIN, TYPE_MAX, units);
    return OK;
}

static int check_signature_form(const struct canonical *value, uint8_t ret_signature[crypto_sign_BYTES])
{
    struct slice text = canonical_string(canonical_member(value, "signature"));
    bool right = text.data != NULL && text.len == SIGNATURE_LEN &&
                 memcmp(text.data + REF_SIGNATURE_TEXT, SIGNATURE_SUFFIX, sizeof SIGNATURE_SUFFIX - 1) == 0 &&
                 ref_signature(text.data, ret_signature);
    if (right) return OK;
    return err_set(ERR_INVALID, "signature must be 64 bytes in canonical base64, then " SIGNATURE_SUFFIX);
}

static int check_shape(const struct canonical *value, struct feed_message *message, uint8_t *ret_signature)
{
    int err = check_keys(value);
    if (err == OK) err = check_author(value, message);
    if (err == OK) err = check_sequence(value, message);
    if (err == OK) err = check_previous(value, message);
    if (err == OK) err = check_timestamp(value, message);
    if (err == OK && !slice_is(canonical_string(canonical_member(value, "hash")), "sha256"))
        err = err_set(ERR_INVALID, "hash must be \"sha256\"");
    if (err == OK) err = check_content(value);
    if (err == OK) err = check_signature_form(value, ret_signature);
    return err;
}

static int check_size(const struct canonical *value, struct buf *text)
{
    int err = canonical_print(value, text);
    if (err != OK && err != ERR_LIMIT) return err;
    if (err == ERR_LIMIT) return err_set(ERR_INVALID, "the message is longer than %d characters", FEED_MESSAGE_MAX);
    size_t units = canonical_utf16_length(text->data, text->len);
    if (units <= FEED_MESSAGE_MAX) return OK;
    return err_set(ERR_INVALID, "the message has %zu characters (UTF-16 units of its canonical text); the most is %d",
                   units, FEED_MESSAGE_MAX);
}

/* What is signed is `text`, or its HMAC where the network has a key of its own. */
static void signed_bytes(struct slice text, const uint8_t *hmac_key, uint8_t mac[crypto_auth_BYTES],
                         struct slice *ret_bytes)
{
    *ret_bytes = text;
    if (hmac_key == NULL) return;
    crypto_auth(mac, (const unsigned char *)text.data, text.len, hmac_key);
    *ret_bytes = (struct slice){ (const char *)mac, crypto_auth_BYTES };
}

/* The signature stands last, so the text that was signed is the whole text without its tail. `text` is cut to it. */
static int check_signature(char *text, size_t len, const uint8_t *signature, const uint8_t *hmac_key,
                           const struct feed_message *message)
{
    size_t tail = sizeof SIGNATURE_BEFORE - 1 + SIGNATURE_LEN + sizeof SIGNATURE_AFTER - 1;
    memcpy(text + len - tail, "\n}", 2);
    uint8_t mac[crypto_auth_BYTES];
    struct slice bytes;
    signed_bytes((struct slice){ text, len - tail + 2 }, hmac_key, mac, &bytes);
    if (crypto_sign_verify_detached(signature, (const unsigned char *)bytes.data, bytes.len, message->author.id) == 0)
        return OK;
    return err_set(ERR_INVALID, "the signature does not fit the message and its author%s",
                   hmac_key == NULL ? "" : " (or it was made for another network)");
}

/* Everything of the record but its time: feed_record adds that. `compact` holds the value, or is NULL: then `value` is printed. */
static int record_start(const struct canonical *value, struct slice compact, struct feed_message *message)
{
    struct buf *record = &message->record;
    char key[REF_TEXT_MAX];
    if (compact.data != NULL) (void)buf_reserve(record, compact.len + RECORD_REST);
    buf_puts(record, "{\"key\":\"");
    buf_append(record, key, ref_print(&message->id, key));
    buf_puts(record, "\",\"value\":");
    int err =
        compact.data != NULL ? buf_append(record, compact.data, compact.len) : canonical_print_compact(value, record);
    if (err != OK) return err;
    err = buf_puts(record, ",\"timestamp\":");
    message->record_head = record->len;
    return err;
}

/* What is checked, and how. */
struct check {
    bool verify;
    const uint8_t *hmac_key;
    struct feed_message *message;
};

/* `text` is the canonical text of `value`, whose shape is right; it is changed. */
static int check_text(const struct check *check, const struct canonical *value, struct slice compact, char *text,
                      size_t len, const uint8_t signature[crypto_sign_BYTES])
{
    struct feed_message *message = check->message;
    int err = OK;
    message->id.kind = REF_MESSAGE;
    canonical_hash(text, len, message->id.id);
    if (check->verify) err = check_signature(text, len, signature, check->hmac_key, message);
    return err == OK ? record_start(value, compact, message) : err;
}

static int check_tree(const struct check *check, const struct canonical *value)
{
    uint8_t signature[crypto_sign_BYTES];
    struct buf text;
    buf_init(&text, TEXT_MAX);
    int err = check_shape(value, check->message, signature);
    if (err == OK) err = check_size(value, &text);
    if (err == OK) err = check_text(check, value, (struct slice){ NULL, 0 }, text.data, text.len, signature);
    buf_free(&text);
    return err;
}

static int check_any_form(const struct check *check, struct slice value)
{
    struct canonical *doc = NULL;
    int err = canonical_parse(value.data, value.len, &doc);
    if (err == OK) err = check_tree(check, doc);
    canonical_free(doc);
    return err;
}

/* true = it has the form that nearly all messages have, and *ret_err is the verdict; false = nothing is known. */
static bool check_compact(const struct check *check, struct slice value, int *ret_err)
{
    char text[TEXT_MAX];
    uint8_t signature[crypto_sign_BYTES];
    struct canonical_indent indent;
    if (!canonical_indent(value.data, value.len, text, sizeof text, &indent) || indent.units > FEED_MESSAGE_MAX)
        return false;
    int err = check_shape(&indent.root, check->message, signature);
    if (err == OK) err = check_text(check, &indent.root, value, text, indent.len, signature);
    *ret_err = err;
    return true;
}

static int check_value(const struct check *check, struct slice value)
{
    *check->message = (struct feed_message){ .sequence = 0 };
    buf_init(&check->message->record, RECORD_MAX);
    int err = sodium_start();
    if (err != OK) return err;
    if (value.len > INPUT_MAX)
        return err_set(ERR_LIMIT, "a message of %zu bytes; the most is %zu", value.len, INPUT_MAX);
    return check_compact(check, value, &err) ? err : check_any_form(check, value);
}

int feed_check(const char *value, size_t len, const uint8_t *hmac_key, struct feed_message *ret_message)
{
    return check_value(&(struct check){ true, hmac_key, ret_message }, (struct slice){ value, len });
}

int feed_check_unsigned(const char *value, size_t len, struct feed_message *ret_message)
{
    return check_value(&(struct check){ false, NULL, ret_message }, (struct slice){ value, len });
}

void feed_message_free(struct feed_message *message)
{
    if (message == NULL) return;
    buf_free(&message->record);
}

static int check_first(const struct feed_message *message)
{
    if (message->sequence != 1)
        return err_set(ERR_INVALID, "sequence must be 1 (the feed has no messages here), not %" PRId64,
                       message->sequence);
    if (message->has_previous) return err_set(ERR_INVALID, "previous must be null in a feed's first message");
    return OK;
}

int feed_check_next(const struct feed_state *state, const struct feed_message *message)
{
    if (!state->exists) return check_first(message);
    int64_t next = state->sequence + 1;
    if (message->sequence > next)
        return err_set(ERR_INVALID,
                       "sequence must be %" PRId64 " (the feed's newest message is %" PRId64 "), not %" PRId64, next,
                       state->sequence, message->sequence);
    if (message->sequence == state->sequence && ref_equal(&message->id, &state->id))
        return err_set(ERR_FORK, "this message is here already: it is the feed's newest, %" PRId64, state->sequence);
    if (message->sequence < next)
        return err_set(ERR_FORK,
                       "sequence must be %" PRId64 " (the feed's newest message is %" PRId64 "), not %" PRId64
                       ": an older message again, or a fork",
                       next, state->sequence, message->sequence);
    if (message->has_previous && ref_equal(&message->previous, &state->id)) return OK;
    char id[REF_TEXT_MAX], given[REF_TEXT_MAX] = "null";
    int id_len = (int)ref_print(&state->id, id);
    int given_len = message->has_previous ? (int)ref_print(&message->previous, given) : 4;
    return err_set(ERR_FORK, "previous must be %.*s (the feed's newest message, %" PRId64 "), not %.*s", id_len, id,
                   state->sequence, given_len, given);
}

int feed_record(struct feed_message *message, double received)
{
    if (message->record_head == 0) return err_set(ERR_ARG, "a record can only be made of a message that was checked");
    char number[32];
    message->record.len = message->record_head;
    buf_append(&message->record, number, canonical_number(received, number));
    return buf_putc(&message->record, '}');
}

/* Appends `doc` in compact form with the signature as its last member. */
static int sign_print(const struct canonical *doc, const uint8_t signature[crypto_sign_BYTES], struct buf *out)
{
    char text[sodium_base64_ENCODED_LEN(crypto_sign_BYTES, sodium_base64_VARIANT_ORIGINAL)];
    sodium_bin2base64(text, sizeof text, signature, crypto_sign_BYTES, sodium_base64_VARIANT_ORIGINAL);
    int err = canonical_print_compact(doc, out);
    if (err != OK) return err;
    out->len--;
    return buf_printf(out, "%s\"signature\":\"%s" SIGNATURE_SUFFIX "\"}", doc->len == 0 ? "" : ",", text);
}

int feed_sign(const char *unsigned_value, size_t len, const uint8_t secret_key[64], const uint8_t *hmac_key,
              struct buf *out)
{
    struct canonical *doc = NULL;
    struct buf text;
    buf_init(&text, INPUT_MAX);
    int err = sodium_start();
    if (err == OK) err = canonical_parse(unsigned_value, len, &doc);
    if (err == OK && (doc->kind != CANONICAL_OBJECT || canonical_member(doc, "signature") != NULL))
        err = err_set(ERR_ARG, "only an object without a signature can be signed");
    if (err == OK) err = canonical_print(doc, &text);
    if (err == OK) {
        uint8_t mac[crypto_auth_BYTES], signature[crypto_sign_BYTES];
        struct slice bytes;
        signed_bytes((struct slice){ text.data, text.len }, hmac_key, mac, &bytes);
        crypto_sign_detached(signature, NULL, (const unsigned char *)bytes.data, bytes.len, secret_key);
        err = sign_print(doc, signature, out);
    }
    buf_free(&text);
    canonical_free(doc);
    return err;
}
