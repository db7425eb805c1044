/* A record whose message is encrypted, and what its reader makes of it.
 *
 * The content of an encrypted message is a string, "BASE64.box" (box1.h), ".box2" or another suffix. An opened record is the same text with the content in place of the
 * string, and two members more at the end of "value", as npm ssb-db gives them:
 *
 *     "meta":{"private":true,"original":{"content":"….box"}},"private":true
 *
 * Without these two, and with the original content, it is the value that was signed. */
#ifndef STORE_PRIVATE_RECORD_H
#define STORE_PRIVATE_RECORD_H

#include <stdbool.h>

#include "store/box1.h"

/* Changes when the text of opened records does: what was derived from them is then derived anew. */
#define PRIVATE_RECORD_VERSION 1

#define PRIVATE_FORMAT_MAX 32

/* Is value.content a string? Then *ret_format is how it is encrypted, by its suffix: "box1" for .box, else the suffix itself, "unknown" if there is none. Borrowed
 * from the record or static. The member's name has to stand there without escapes, as everybody writes it. */
bool private_record_format(struct slice record, struct slice *ret_format);

/* Could the record hold a box1? false is sure, and cheap to find out. */
bool private_record_likely(struct slice record);

/* Appends the opened record: 1, 0 = it is not for that key, or what is inside is no JSON object; ERR_NOMEM, ERR_LIMIT. After anything but 1 nothing of it is left in `out`. */
int private_record_open(const struct box1_key *key, struct slice record, struct buf *out);

#endif
