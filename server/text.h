/* Small things over texts of a request: numbers, words, percent-encoding, and JSON that comes from outside. */
#ifndef SERVER_TEXT_H
#define SERVER_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "store/buf.h"
#include "store/json_valid.h"
#include "store/ref.h"

bool text_is(struct slice text, const char *word);

/* As text_is, whatever the case of ASCII letters. */
bool text_is_nocase(struct slice text, const char *word);

/* A decimal number without sign (but "-1" when min allows it), spaces or leading zeros. */
bool text_int(struct slice text, int64_t min, int64_t max, int64_t *ret);

/* The number in decimal, written into `room`. */
#define TEXT_INT_MAX 20
struct slice text_of_int(int64_t n, char room[TEXT_INT_MAX]);

/* "true" and "false". */
bool text_bool(struct slice text, bool *ret);

struct slice text_trim(struct slice text); /* without the white space of JSON around it */

/* Appends `text` as it stands in the value of a query parameter: everything but unreserved characters percent-encoded. */
void text_put_query(struct buf *out, struct slice text);

/* Appends the text form of a reference as a JSON string; null if it is none. */
void text_put_ref(struct buf *out, const struct ref *ref);

/* A JSON string, or null if data is NULL. */
void text_put_json(struct buf *out, struct slice text);

/* Appends JSON that passed json_valid on one line: newlines, which can only stand between tokens, become spaces. */
void json_put_line(struct buf *out, struct slice text);

/* Turns the newlines in `out` from `start` on into spaces. */
void json_one_line(struct buf *out, size_t start);

/* json_put_line if the text is valid, else null. */
void json_put_valid(struct buf *out, struct slice text);

#endif
