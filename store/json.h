/* A pull reader over JSON text, for the places that need a member or two of a record and no tree.
 *
 * It trusts nothing: any bytes end in a value or in ERR_JSON, never outside the slice. It checks structure (brackets, colons,
 * commas, terminated strings) but does not judge literals. Members come in text order, so of a
 * key that stands twice the LAST counts, as in JSON.parse. No allocation except into the caller's buf. */
#ifndef STORE_JSON_H
#define STORE_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include "store/buf.h"

/* Deeper text is ERR_JSON. A message of 8192 characters cannot come close. */
#define JSON_DEPTH_MAX 4096

/* A value as it stands in the text, without the white space around it. */
struct json_member {
    struct slice key;   /* raw, between the quotes, still escaped; empty in an array */
    bool key_escaped;   /* key holds a backslash: compare with json_key_is, read with json_unescape */
    struct slice value; /* raw: a string has its quotes */
};

struct json_iter {
    const char *at, *end;
    char close; /* '}' or ']' */
    bool first;
};

/* Opens the object or array that `value` holds. ERR_JSON if it holds neither. */
int json_open(struct slice value, struct json_iter *ret_iter);

/* 1 = a member, 0 = the end, ERR_JSON. */
int json_next(struct json_iter *iter, struct json_member *ret_member);

bool json_key_is(const struct json_member *member, const char *key);

/* The last member of that name in an object: 1, 0 if absent, ERR_JSON. */
int json_find(struct slice object, const char *key, struct slice *ret_value);

/* Where the value that starts at data[0] ends (white space skipped first): OK and the slice, or ERR_JSON. */
int json_skip(const char *data, size_t len, struct slice *ret_value);

bool json_is_string(struct slice value);

/* The characters of a raw string (quotes optional) appended to `out` as UTF-8. Lone surrogates become the three
 * bytes that WTF-8 gives them; NUL is kept. ERR_JSON for a bad escape. */
int json_unescape(struct slice raw, struct buf *out);

/* The value of a number as strtod gives it, whatever the locale. false for everything that is not a number of the JSON
 * grammar, and for one too large for a double. */
bool json_number(struct slice value, double *ret_number);

/* JavaScript's Boolean(value): false, null, 0, "" are falsy, everything else truthy. */
bool json_truthy(struct slice value);

#endif
