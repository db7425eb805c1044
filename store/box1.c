#include "store/box1.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "store/base64.h"
#include "store/err.h"

#define NONCE crypto_secretbox_NONCEBYTES
#define MAC crypto_secretbox_MACBYTES
#define SLOT_PLAIN (1 + crypto_secretbox_KEYBYTES) /* how many recipients, the key of the body */
#define SLOT (MAC + SLOT_PLAIN)
#define SLOTS_AT (NONCE + crypto_scalarmult_BYTES)
#define BOX_MIN (SLOTS_AT + SLOT + MAC)
#define SUFFIX (sizeof BOX1_SUFFIX - 1)

/* private-box looks at one slot more than a box may have. */
#define SLOTS_TRIED (BOX1_RECIPIENTS_MAX + 1)

int box1_key_of(const uint8_t secret_key[64], struct box1_key *ret_key)
{
    struct box1_key key;
    if (crypto_sign_ed25519_sk_to_curve25519(key.secret, secret_key) != 0)
        return err_set(ERR_ARG, "that is no secret key of Ed25519");
    *ret_key = key;
    box1_key_wipe(&key);
    return OK;
}

void box1_key_wipe(struct box1_key *key)
{
    sodium_memzero(key, sizeof *key);
}

bool box1_is(struct slice text)
{
    return text.len >= SUFFIX + BOX_MIN / 3 * 4 && text.len % 4 == 0 &&
           memcmp(text.data + text.len - SUFFIX, BOX1_SUFFIX, SUFFIX) == 0;
}

/* ---- opening -------------------------------------------------------------------------------------------------- */

/* Finds the slot that `shared` opens: 1 and how many slots there are, with the key of the body. */
static int slots_try(const uint8_t *box, size_t len, const uint8_t *shared, uint8_t ret_slot[SLOT_PLAIN])
{
    for (size_t i = 0; i < SLOTS_TRIED && SLOTS_AT + (i + 1) * SLOT <= len - MAC; i++)
        if (crypto_secretbox_open_easy(ret_slot, box + SLOTS_AT + i * SLOT, SLOT, box, shared) == 0) return 1;
    return 0;
}

/* Decrypts the body behind `len` bytes of `out`. */
static int body_open(const uint8_t *box, size_t len, const uint8_t slot[SLOT_PLAIN], struct buf *out)
{
    size_t at = SLOTS_AT + (size_t)slot[0] * SLOT;
    if (at + MAC > len) return 0;
    size_t plain = len - at - MAC;
    if (buf_reserve(out, plain + 1) != OK) return out->err;
    if (crypto_secretbox_open_easy((uint8_t *)out->data + out->len, box + at, len - at, box, slot + 1) != 0) return 0;
    out->len += plain;
    return 1;
}

static int box_open(const struct box1_key *key, const uint8_t *box, size_t len, struct buf *out)
{
    uint8_t shared[crypto_scalarmult_BYTES], slot[SLOT_PLAIN];
    int found = 0;
    /* fails for an ephemeral key that is no use to anybody */
    if (len >= BOX_MIN && crypto_scalarmult(shared, key->secret, box + NONCE) == 0) {
        found = slots_try(box, len, shared, slot);
        if (found == 1) found = body_open(box, len, slot, out);
    }
    sodium_memzero(shared, sizeof shared);
    sodium_memzero(slot, sizeof slot);
    return found;
}

int box1_open(const struct box1_key *key, struct slice text, struct buf *out)
{
    if (!box1_is(text)) return 0;
    size_t coded = text.len - SUFFIX, len = 0;
    uint8_t *box = malloc(coded / 4 * 3);
    if (box == NULL) return err_set(ERR_NOMEM, "no memory to open a private message");
    int found = 0;
    if (base64_read((struct slice){ text.data, coded }, sodium_base64_VARIANT_ORIGINAL, box, coded / 4 * 3, &len))
        found = box_open(key, box, len, out);
    free(box);
    return found;
}

/* ---- sealing -------------------------------------------------------------------------------------------------- */

/* The keys of all recipients, each once. */
static int recipients_read(const struct ref *recipients, size_t count, uint8_t keys[][crypto_scalarmult_BYTES],
                           size_t *ret_count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        bool again = false;
        for (size_t k = 0; k < i && !again; k++)
            again = ref_equal(&recipients[k], &recipients[i]);
        if (again) continue;
        if (kept == BOX1_RECIPIENTS_MAX)
            return err_set(ERR_ARG, "a private message has at most %d recipients", BOX1_RECIPIENTS_MAX);
        if (recipients[i].kind != REF_FEED || crypto_sign_ed25519_pk_to_curve25519(keys[kept], recipients[i].id) != 0)
            return err_set(ERR_ARG, "recipient %zu is no feed that a message can be encrypted for", i);
        kept++;
    }
    if (kept == 0) return err_set(ERR_ARG, "a private message needs a recipient");
    *ret_count = kept;
    return OK;
}

/* `box` has room for all of it. */
static int box_fill(struct slice plain, uint8_t keys[][crypto_scalarmult_BYTES], size_t count, uint8_t *box)
{
    uint8_t slot[SLOT_PLAIN], secret[crypto_box_SECRETKEYBYTES], shared[crypto_scalarmult_BYTES];
    int err = OK;
    randombytes_buf(box, NONCE);
    slot[0] = (uint8_t)count;
    randombytes_buf(slot + 1, sizeof slot - 1);
    (void)crypto_box_keypair(box + NONCE, secret);
    for (size_t i = 0; i < count && err == OK; i++) {
        if (crypto_scalarmult(shared, secret, keys[i]) != 0)
            err = err_set(ERR_ARG, "recipient %zu is no feed that a message can be encrypted for", i);
        else
            (void)crypto_secretbox_easy(box + SLOTS_AT + i * SLOT, slot, sizeof slot, box, shared);
    }
    (void)crypto_secretbox_easy(box + SLOTS_AT + count * SLOT, (const uint8_t *)plain.data, plain.len, box, slot + 1);
    sodium_memzero(slot, sizeof slot);
    sodium_memzero(secret, sizeof secret);
    sodium_memzero(shared, sizeof shared);
    return err;
}

static int box_print(const uint8_t *box, size_t len, struct buf *out)
{
    size_t coded = sodium_base64_encoded_len(len, sodium_base64_VARIANT_ORIGINAL);
    if (buf_reserve(out, coded + SUFFIX) != OK) return out->err;
    (void)sodium_bin2base64(out->data + out->len, coded, box, len, sodium_base64_VARIANT_ORIGINAL);
    out->len += coded - 1;
    return buf_puts(out, BOX1_SUFFIX);
}

int box1_seal(struct slice plain, const struct ref *recipients, size_t count, struct buf *out)
{
    uint8_t keys[BOX1_RECIPIENTS_MAX][crypto_scalarmult_BYTES];
    int err = recipients_read(recipients, count, keys, &count);
    if (err != OK) return err;
    size_t len = SLOTS_AT + count * SLOT + MAC + plain.len;
    uint8_t *box = malloc(len);
    if (box == NULL) return err_set(ERR_NOMEM, "no memory to encrypt a message");
    err = box_fill(plain, keys, count, box);
    if (err == OK) err = box_print(box, len, out);
    free(box);
    return err;
}
