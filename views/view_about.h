/* View "about": what people say of a feed, message or blob with messages of type about: {"type":"about","about":TARGET, FIELD: VALUE …}.
 * Every top-level key of content but `type` and `about` is a field.
 *
 * Per target, field and assigner four records are remembered, each the best by rts (min of received and claimed time, message_rts), then seq:
 *   value   the newest with a truthy value (JavaScript's Boolean)        -> rule social
 *   first   the first with a truthy value: breaks ties of rule social
 *   latest  the newest in which the field is present and is not an object with a truthy `remove`  -> rule latest
 *   own     the newest in which the field is present at all              -> rule self
 * The three rules, with their sources (npm ssb-social-index 1.2.0, ssb-about 2.0.1, ssb-about-self 1.1.0):
 *   social  the reader's own value if it is known who reads (`reader`), else the target's own value if it gave one (a feed about itself; for a message its author), else the value most assigners agree on, counting
 *           strings and {link} objects (whose link is an id, and not those with `remove`) by string or link; of equal counts the one that reached the count first, assigners in order of their
 *           first value. Where no value can be counted: none.
 *   latest  the newest value by anybody
 *   self    the newest value that the target itself gave (for a message: its author)
 */
#ifndef VIEWS_VIEW_ABOUT_H
#define VIEWS_VIEW_ABOUT_H

#include "views/flume.h"

enum about_rule { ABOUT_SOCIAL, ABOUT_LATEST, ABOUT_SELF };

/* One field of an answer. */
struct about_value {
    struct slice field; /* the key as it stands in the record, raw between its quotes (JSON-escaped) */
    struct slice
        value; /* raw JSON of the value; under rule social with {link} objects the link alone, as a JSON string, if the majority decided */
    int64_t seq;       /* the record it comes from */
    struct ref author; /* who assigned it */
};

/* Calls fn for each field of `target` that has a value under the rule, fields in byte order. Slices are borrowed while fn runs. fn answers 0 to go on. */
typedef int about_fn(void *ctx, const struct about_value *value);
/* `reader` may be NULL. */
int about_get(const struct flume_read *read, const struct ref *target, enum about_rule rule, const struct ref *reader,
              about_fn *fn, void *ctx);

/* What a message says something about, if it is one of type about: true and the target. */
bool about_of(const struct message *message, struct ref *ret_target);

/* Every assigner's newest truthy value of every field, fields in byte order, assigners by their first value. */
int about_all(const struct flume_read *read, const struct ref *target, about_fn *fn, void *ctx);

#endif
