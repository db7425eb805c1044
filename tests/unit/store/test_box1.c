#include <criterion/criterion.h>

#include <jansson.h>
#include <sodium.h>
#include <string.h>

#include "store/box1.h"
#include "store/err.h"

#define TEXT_MAX ((size_t)1 << 20)

/* Keys and boxes that npm ssb-keys made. */
static json_t *made_load(void)
{
    json_error_t error;
    cr_assert_geq(sodium_init(), 0);
    json_t *made = json_load_file("tests/fixtures/ssb/made-private-box.json", 0, &error);
    cr_assert_not_null(made, "%s", error.text);
    return made;
}

static struct slice text_of(const json_t *value)
{
    return (struct slice){ json_string_value(value), json_string_length(value) };
}

static void key_read(const json_t *key, struct ref *ret_id, struct box1_key *ret_key)
{
    uint8_t secret[64];
    size_t len;
    const char *text = json_string_value(json_object_get(key, "private"));
    cr_assert_eq(sodium_base642bin(secret, sizeof secret, text, strcspn(text, "."), NULL, &len, NULL,
                                   sodium_base64_VARIANT_ORIGINAL),
                 0);
    cr_assert_eq(len, 64);
    cr_assert_eq(box1_key_of(secret, ret_key), OK);
    struct slice id = text_of(json_object_get(key, "id"));
    cr_assert_eq(ref_parse(id.data, id.len, ret_id), OK);
}

static bool listed(const json_t *recps, const json_t *key)
{
    size_t i;
    const json_t *recp;
    json_array_foreach(recps, i, recp)
    {
        if (json_equal(recp, json_object_get(key, "id"))) return true;
    }
    return false;
}

static void vector_check(const json_t *vector, const json_t *key)
{
    struct ref id;
    struct box1_key secret;
    struct buf plain;
    buf_init(&plain, TEXT_MAX);
    key_read(key, &id, &secret);
    bool ours = listed(json_object_get(vector, "recps"), key);
    cr_assert_eq(box1_open(&secret, text_of(json_object_get(vector, "box")), &plain), ours ? 1 : 0);
    if (ours) {
        char *wanted = json_dumps(json_object_get(vector, "plaintext"), JSON_COMPACT | JSON_PRESERVE_ORDER);
        cr_assert_eq(plain.len, strlen(wanted));
        cr_assert_arr_eq(plain.data, wanted, plain.len);
        free(wanted);
    } else {
        cr_assert_eq(plain.len, 0);
    }
    buf_free(&plain);
}

Test(box1, opens_what_private_box_made)
{
    json_t *made = made_load();
    const json_t *vectors = json_object_get(made, "vectors"), *keys = json_object_get(made, "keys");
    size_t i, k;
    const json_t *vector, *key;
    cr_assert_eq(json_array_size(vectors), 4);
    json_array_foreach(vectors, i, vector)
    {
        json_array_foreach(keys, k, key) vector_check(vector, key);
    }
    json_decref(made);
}

/* Fixed identities of which any number can be made. */
static void identity(uint8_t number, struct ref *ret_id, struct box1_key *ret_key)
{
    uint8_t seed[32] = { number }, public_key[32], secret_key[64];
    cr_assert_geq(sodium_init(), 0);
    (void)crypto_sign_seed_keypair(public_key, secret_key, seed);
    *ret_id = (struct ref){ .kind = REF_FEED };
    memcpy(ret_id->id, public_key, sizeof public_key);
    cr_assert_eq(box1_key_of(secret_key, ret_key), OK);
}

static void sealed_for(size_t count, struct slice plain, struct buf *text)
{
    struct ref ids[BOX1_RECIPIENTS_MAX + 1];
    struct box1_key keys[BOX1_RECIPIENTS_MAX + 1];
    struct buf opened;
    buf_init(&opened, TEXT_MAX);
    for (size_t i = 0; i <= BOX1_RECIPIENTS_MAX; i++)
        identity((uint8_t)(i + 1), &ids[i], &keys[i]);
    cr_assert_eq(box1_seal(plain, ids, count, text), OK);
    const struct slice box = { text->data, text->len };
    cr_assert(box1_is(box));
    for (size_t i = 0; i <= BOX1_RECIPIENTS_MAX; i++) {
        buf_reset(&opened);
        cr_assert_eq(box1_open(&keys[i], box, &opened), i < count ? 1 : 0);
        if (i >= count) continue;
        cr_assert_eq(opened.len, plain.len);
        cr_assert(plain.len == 0 || memcmp(opened.data, plain.data, plain.len) == 0);
    }
    buf_free(&opened);
}

Test(box1, seals_for_one_to_seven)
{
    for (size_t count = 1; count <= BOX1_RECIPIENTS_MAX; count++) {
        struct buf text;
        buf_init(&text, TEXT_MAX);
        sealed_for(count, SLICE_LITERAL("{\"type\":\"post\",\"text\":\"h\xc3\xa9\"}"), &text);
        buf_free(&text);
    }
}

Test(box1, seals_nothing_at_all)
{
    struct buf text;
    buf_init(&text, TEXT_MAX);
    sealed_for(2, (struct slice){ "", 0 }, &text);
    buf_free(&text);
}

Test(box1, the_same_recipient_twice_is_one)
{
    struct ref ids[BOX1_RECIPIENTS_MAX + 2];
    struct box1_key key;
    struct buf text, opened;
    buf_init(&text, TEXT_MAX);
    buf_init(&opened, TEXT_MAX);
    for (size_t i = 0; i < BOX1_RECIPIENTS_MAX + 2; i++)
        identity((uint8_t)(i % BOX1_RECIPIENTS_MAX), &ids[i], &key);
    cr_assert_eq(box1_seal(SLICE_LITERAL("{}"), ids, BOX1_RECIPIENTS_MAX + 2, &text), OK);
    identity(0, &ids[0], &key);
    cr_assert_eq(box1_open(&key, (struct slice){ text.data, text.len }, &opened), 1);
    buf_free(&text);
    buf_free(&opened);
}

Test(box1, refuses_recipients_that_cannot_be)
{
    struct ref ids[BOX1_RECIPIENTS_MAX + 1];
    struct box1_key key;
    struct buf text;
    buf_init(&text, TEXT_MAX);
    for (size_t i = 0; i <= BOX1_RECIPIENTS_MAX; i++)
        identity((uint8_t)i, &ids[i], &key);
    cr_assert_eq(box1_seal(SLICE_LITERAL("{}"), ids, 0, &text), ERR_ARG);
    cr_assert_eq(box1_seal(SLICE_LITERAL("{}"), ids, BOX1_RECIPIENTS_MAX + 1, &text), ERR_ARG);
    ids[0].kind = REF_MESSAGE;
    cr_assert_eq(box1_seal(SLICE_LITERAL("{}"), ids, 1, &text), ERR_ARG);
    memset(&ids[0], 0, sizeof ids[0]); /* a point of small order */
    ids[0].kind = REF_FEED;
    cr_assert_eq(box1_seal(SLICE_LITERAL("{}"), ids, 1, &text), ERR_ARG);
    cr_assert_eq(text.len, 0);
    buf_free(&text);
}

/* Whatever is changed, cut off or put on: it does not open, and nothing is read that is not there (asan). */
Test(box1, a_damaged_box_stays_shut)
{
    struct ref id;
    struct box1_key key;
    struct buf text, opened;
    uint8_t box[512];
    char again[1024];
    size_t len;
    buf_init(&text, TEXT_MAX);
    buf_init(&opened, TEXT_MAX);
    identity(1, &id, &key);
    cr_assert_eq(box1_seal(SLICE_LITERAL("{\"type\":\"x\"}"), &id, 1, &text), OK);
    cr_assert_eq(
        sodium_base642bin(box, sizeof box, text.data, text.len - 4, NULL, &len, NULL, sodium_base64_VARIANT_ORIGINAL),
        0);
    for (size_t bit = 0; bit < 8 * len; bit++) {
        /* the last bit of an X25519 key is not looked at */
        if (bit == 8 * 55 + 7) continue;
        box[bit / 8] ^= (uint8_t)(1 << bit % 8);
        (void)sodium_bin2base64(again, sizeof again, box, len, sodium_base64_VARIANT_ORIGINAL);
        strcat(again, BOX1_SUFFIX);
        cr_assert_eq(box1_open(&key, (struct slice){ again, strlen(again) }, &opened), 0, "bit %zu", bit);
        box[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t cut = 0; cut < len; cut++) {
        (void)sodium_bin2base64(again, sizeof again, box, cut, sodium_base64_VARIANT_ORIGINAL);
        strcat(again, BOX1_SUFFIX);
        cr_assert_eq(box1_open(&key, (struct slice){ again, strlen(again) }, &opened), 0, "cut at %zu", cut);
    }
    cr_assert_eq(opened.len, 0);
    buf_free(&text);
    buf_free(&opened);
}

/* What others leave as it is must not be opened here. */
Test(box1, a_box_is_ascii)
{
    struct ref id;
    struct box1_key key;
    struct buf text, opened;
    char *slash = NULL;
    buf_init(&text, TEXT_MAX);
    buf_init(&opened, TEXT_MAX);
    identity(1, &id, &key);
    while (slash == NULL) {
        buf_reset(&text);
        cr_assert_eq(box1_seal(SLICE_LITERAL("{\"type\":\"x\"}"), &id, 1, &text), OK);
        slash = memchr(text.data, '/', text.len);
    }
    *slash = '\xAF';
    cr_assert_eq(box1_open(&key, (struct slice){ text.data, text.len }, &opened), 0);
    *slash = '/';
    cr_assert_eq(box1_open(&key, (struct slice){ text.data, text.len }, &opened), 1);
    buf_free(&text);
    buf_free(&opened);
}

Test(box1, other_texts_are_no_box)
{
    struct ref id;
    struct box1_key key;
    struct buf text, opened;
    buf_init(&text, TEXT_MAX);
    buf_init(&opened, TEXT_MAX);
    identity(1, &id, &key);
    cr_assert_eq(box1_seal(SLICE_LITERAL("{\"type\":\"x\"}"), &id, 1, &text), OK);
    cr_assert_eq(buf_putc(&text, '2'), OK);
    cr_assert_eq(box1_open(&key, (struct slice){ text.data, text.len }, &opened), 0);
    cr_assert_eq(box1_open(&key, (struct slice){ text.data, text.len - 5 }, &opened), 0);
    cr_assert_eq(box1_open(&key, SLICE_LITERAL(""), &opened), 0);
    cr_assert_eq(box1_open(&key, SLICE_LITERAL(".box"), &opened), 0);
    memset(text.data, '!', 8);
    cr_assert_eq(box1_open(&key, (struct slice){ text.data, text.len - 1 }, &opened), 0);
    buf_free(&text);
    buf_free(&opened);
}
