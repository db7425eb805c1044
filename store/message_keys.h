/* The keys of the objects that a scan has open, to find the members that a later one of the same key replaces.
 *
 * When an object closes, its keys are compared by hash (all pairs while they are few, sorted otherwise), and the references
 * found under a replaced member are struck out. Nothing is allocated once the arrays have their size. */
#ifndef STORE_MESSAGE_KEYS_H
#define STORE_MESSAGE_KEYS_H

#include "store/json.h"
#include "store/message.h"

struct message_key {
    struct slice text; /* unescaped */
    uint32_t hash;
    uint32_t first_ref; /* how many references had been found when it came */
};

struct message_keys {
    struct message_key *keys;
    size_t count, cap;
    size_t depth;
    uint32_t bases[JSON_DEPTH_MAX]; /* of each open container: its first key */
    bool struck;                    /* some references have kind REF_NONE now */
};

/* NULL if out of memory; the caller frees. */
struct message_keys *message_keys_new(void);
void message_keys_free(struct message_keys *keys); /* NULL is fine */

/* `end` is the end of readable memory behind the key's text. OK or ERR_NOMEM. */
int message_keys_push(struct message_keys *keys, struct slice text, const char *end, size_t ref_count);

/* The keys from `base` on are all of one object, which ends here: strikes what was replaced and forgets the keys. */
int message_keys_settle(struct message_keys *keys, size_t base, struct message *message);

#endif
