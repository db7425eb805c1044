/* View "contacts": who follows and who blocks whom, by messages {"type":"contact","contact":FEED,"following":…,"blocking":…}.
 *
 * Of one author about one feed the message that stands last in the log decides (npm ssb-friends 5.1.7): a truthy `blocking` or `flagged` blocks,
 * else `following` true follows, else it ends both. Encrypted contacts are not seen.
 *
 * The table says what each feed made of others, so that a graph can be walked without a look at the records. The field `contact` finds the
 * messages about a feed: what others made of it is read from them. */
#ifndef VIEWS_VIEW_CONTACTS_H
#define VIEWS_VIEW_CONTACTS_H

#include "views/pair.h"
#include "views/said.h"

enum contact_state { CONTACT_FOLLOWS, CONTACT_BLOCKS, CONTACT_ENDED, CONTACT_STATES };

/* Contacts that a feed made, or that were made with it. */
enum contact_side { CONTACTS_MADE, CONTACTS_RECEIVED };

struct contact {
    struct ref id; /* the other feed */
    enum contact_state state;
    int64_t seq; /* of the message that decides */
};

struct contacts_iter {
    enum contact_side side;
    struct pair_iter pairs; /* made */
    struct said_list said;  /* received */
    size_t next;
};

#define CONTACTS_VIEWS VIEW_MASK(contacts)

/* Contacts of a feed, ordered by the other's bytes, those behind `after` (NULL = all). Closed before the snapshot ends. Contacts made count until the
 * view is rebuilt, also when the message was deleted: who shows them asks the log. */
int contacts_open(const struct flume_read *read, const struct ref *feed, enum contact_side side,
                  const struct ref *after, struct contacts_iter *ret_iter);
void contacts_close(struct contacts_iter *iter);                            /* zeroed is fine */
int contacts_next(struct contacts_iter *iter, struct contact *ret_contact); /* 1, 0 = no more, <0 error */

/* How many contacts of each kind a feed has; friends follow each other. Those whose message was deleted are not counted. */
struct contacts_counts {
    uint64_t follows, blocks, followed_by, blocked_by, friends;
};
int contacts_count(const struct flume_read *read, const struct ref *feed, struct contacts_counts *ret_counts);

/* Whom a message is a contact with: true and the feed. */
bool contact_of(const struct message *message, struct ref *ret_dest);

/* What `source` says of `dest`: 1, 0 = nothing, <0 error. */
int contacts_get(const struct flume_read *read, const struct ref *source, const struct ref *dest,
                 struct contact *ret_contact);

#endif
