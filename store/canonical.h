/* Canonical text of the classic feed format: what JSON.stringify(message, null, 2) prints in JavaScript, byte
 * for byte, for a message that JSON.parse has read. Ids and signatures are made over it. Rules with
 * sources: ECMA-262 (SerializeJSONProperty, Number::toString, OrdinaryOwnPropertyKeys), npm ssb-validate, ssb-keys.
 *
 *   - indent 2, ": ", ",\n"; empty {} and [] stay closed; no final newline
 *   - array-index keys ("0" … "4294967294") come first, ascending; then the others as they were first inserted;
 *     a key that stands twice keeps its first place and its last value
 *   - numbers as JavaScript prints a double; escapes \b \t \n \f \r \" \\ and \u00xx, lone surrogates as \udxxx */
#ifndef STORE_CANONICAL_H
#define STORE_CANONICAL_H

#include <stddef.h>

#include "store/buf.h"
#include "store/ref.h"

/* Deeper JSON is refused (ERR_LIMIT). A valid message of 8192 characters cannot come close. */
#define CANONICAL_DEPTH_MAX 512

struct canonical; /* a parsed JSON value */

/* Parses one JSON text as JSON.parse does (ERR_JSON with the offset in the detail, ERR_LIMIT, ERR_NOMEM). Invalid UTF-8 is
 * ERR_JSON. The caller frees. `data` may go away afterwards. */
int canonical_parse(const char *data, size_t len, struct canonical **ret_doc);
void canonical_free(struct canonical *doc);

/* The canonical text, UTF-8. */
int canonical_print(const struct canonical *doc, struct buf *out);

/* JSON.stringify(value) without indent: how records are stored. */
int canonical_print_compact(const struct canonical *doc, struct buf *out);

/* The value of a member of an object as a document of its own, borrowed from `doc`: NULL if absent or `doc` is no object. */
const struct canonical *canonical_member(const struct canonical *doc, const char *key);

/* The id of a message: SHA-256 over its canonical text, each UTF-16 unit cut to its low byte (so Buffer.from(text,'latin1')). */
int canonical_id(const struct canonical *doc, struct ref *ret_id);

/* A number as JavaScript prints it ("1e+21", "0.000001", "-0" -> "0", not finite -> "null"); at most 32 bytes,
 * not terminated. Answers the length. */
size_t canonical_number(double value, char *out);

/* Length of UTF-8 text in UTF-16 code units. */
size_t canonical_utf16_length(const char *text, size_t len);

#endif
