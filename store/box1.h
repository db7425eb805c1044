/* Private messages of the classic format, "box1" (npm private-box 0.3.1): a text for up to seven readers, of which each can open it and none
 * can tell who the others are. What is inside a message is "BASE64.box".
 *
 *     nonce 24 | ephemeral key 32 | a slot of 49 for each recipient | body 16 + text
 *
 * A slot is a secretbox of the number of recipients and the key of the body; its own key is the scalar product of the ephemeral key with
 * the recipient's. Nothing inside says who wrote it: that is the signature of the message around. Any thread. */
#ifndef STORE_BOX1_H
#define STORE_BOX1_H

#include <stdbool.h>
#include <stdint.h>

#include "store/buf.h"
#include "store/ref.h"

#define BOX1_RECIPIENTS_MAX 7
#define BOX1_SUFFIX ".box"

/* What opens boxes: the secret half of an identity as X25519 wants it. Wiped by box1_key_wipe. */
struct box1_key {
    uint8_t secret[32];
};

/* `secret_key`: as libsodium keeps an Ed25519 key, seed and public half. ERR_ARG if it is none. */
int box1_key_of(const uint8_t secret_key[64], struct box1_key *ret_key);
void box1_key_wipe(struct box1_key *key);

/* Is this (without quotes) the text of a box1? By its suffix and size alone. */
bool box1_is(struct slice text);

/* Opens "BASE64.box" and appends what was in it to `out`: 1, 0 = it is not for that key or no box, ERR_NOMEM, ERR_LIMIT (of `out`). What is in it may
 * be anything. */
int box1_open(const struct box1_key *key, struct slice text, struct buf *out);

/* Appends "BASE64.box", which the `count` feeds can open (the author too only if it is among them). The same feed twice is one recipient. ERR_ARG: none, more
 * than seven, or an id that is no Ed25519 key. */
int box1_seal(struct slice plain, const struct ref *recipients, size_t count, struct buf *out);

#endif
