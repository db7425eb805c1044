/* Looking into a record that a view points at, a member or two at a time, without scanning all of it. */
#ifndef VIEWS_VIEW_RECORD_H
#define VIEWS_VIEW_RECORD_H

#include <stdbool.h>

#include "store/buf.h"
#include "store/json_valid.h"
#include "store/ref.h"

/* A raw JSON value that is a string and exactly one reference: OK or ERR_REF. */
int record_ref(struct slice value, struct ref *ret_ref);

/* The message's id as the record says it. ERR_REF, ERR_JSON. */
int record_key(struct slice record, struct ref *ret_id);

/* value.author; ERR_REF unless it is a feed. */
int record_author(struct slice record, struct ref *ret_author);

/* value.previous; ERR_REF unless it is a reference. */
int record_previous(struct slice record, struct ref *ret_id);

/* Raw value.content: 1, 0 if absent, ERR_JSON. */
int record_content(struct slice record, struct slice *ret_content);

/* Has the object, which begins with "key" and was looked at, a member whose name an answer may have in front of it? Of two members of a name most
 * parsers take the last. */
bool record_names_ours(struct slice record, const struct json_look *look);

/* Is it one valid JSON object that starts with {"key", on one line, and without a name of ours? */
bool record_is_line(struct slice record);

/* The same, and not an encrypted message: then showing it is copying it. */
bool record_is_plain(struct slice record);

bool ref_is_feed(const struct ref *ref);
bool slice_equal(struct slice a, struct slice b);

#endif
