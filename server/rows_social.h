/* Rows about people: contacts, distances, votes. None of them is in the order of the log: those that are live are followed as follow.h has it. A row of who
 * is not in the list says "removed":true, also of who never was. */
#ifndef SERVER_ROWS_SOCIAL_H
#define SERVER_ROWS_SOCIAL_H

#include "server/follow.h"
#include "views/view_contacts.h"

/* The lists of GET /contacts/{id}. Friends follow each other. */
enum contacts_list { LIST_FOLLOWS, LIST_BLOCKS, LIST_FOLLOWED_BY, LIST_BLOCKED_BY, LIST_FRIENDS, CONTACTS_LISTS };
extern const char *const contacts_list_names[CONTACTS_LISTS];

struct contacts_params {
    struct ref feed;
    enum contacts_list list;
    struct ref after; /* kind REF_NONE = from the first on; ordered by id */
    int64_t limit;
    struct follow_params follow;
};
int rows_contacts_open(struct server *server, const struct contacts_params *params, struct rows **ret_rows);

/* GET /graph: feeds within `hops` of `from`, without the first `skip`. Followed: those whose distance changes, also who is not within them any more. It
 * always begins with the list, because what was there before is not known: its rows have no cursor. */
struct graph_params {
    struct ref from;
    int hops;
    int64_t skip, limit;
    struct follow_params follow;
};
int rows_graph_open(struct server *server, const struct graph_params *params, struct rows **ret_rows);

/* GET /votes/{id}: one row a voter, ordered by id; a page begins with the counts of all of them. */
struct votes_params {
    struct ref target;
    struct ref after; /* kind REF_NONE = from the first on */
    int64_t limit;
    struct follow_params follow;
};
int rows_votes_open(struct server *server, const struct votes_params *params, struct rows **ret_rows);

/* GET /channels/{name}/subscribers: one row a subscriber, ordered by id. ERR_ARG. */
struct subscribers_params {
    struct slice channel;
    struct ref after; /* kind REF_NONE = from the first on */
    int64_t limit;
    struct follow_params follow;
};
int rows_subscribers_open(struct server *server, const struct subscribers_params *params, struct rows **ret_rows);

/* ---- what they are made of ------------------------------------------------------------------------------------ */

/* A list of people that is read as a whole (rows_people.c), as the first member of what its kind keeps besides: one row for each of `count`, without those whose
 * record was deleted, then, followed, one for each message that changes somebody's row. */
struct rows_people {
    struct rows rows;
    const struct people_ops *ops;
    struct log *log;
    size_t count, next;
    struct follow follow;
    struct message message; /* the one that follow_next gave */
    struct message scratch;
};

struct people_ops {
    /* The i-th of them, and the record that says so. */
    void (*at)(const struct rows_people *people, size_t i, struct ref *ret_id, int64_t *ret_seq);
    /* Whose row people->message changes: 1, 0 = nobody's, <0 error. *seq is that of the message, until the record that decides is another one. */
    int (*changed)(struct rows_people *people, struct ref *ret_id, int64_t *seq, bool *ret_removed);
    /* Fills in those behind the ones that are here: 1, 0 = there are none, <0 error. NULL = all of them are here. */
    int (*more)(struct rows_people *people);
    void (*free)(struct rows_people *people); /* what its kind keeps besides, not itself; NULL = nothing */
};

/* Of a zeroed one, which rows_free frees from here on. Then follow_open on people->follow, log and count are the caller's to fill. */
void rows_people_init(struct rows_people *people, struct server *server, const struct people_ops *ops,
                      const char *member, uint32_t views, int64_t limit);

/* "key":…,"seq":…,"timestamp":… of a record that a row is made from; `scratch` is overwritten. ERR_DELETED. */
int rows_put_source(struct log *log, int64_t seq, struct message *scratch, struct buf *out);

/* A row of somebody and the record at `seq`. */
int rows_put_person(struct log *log, const struct ref *id, int64_t seq, bool removed, struct message *scratch,
                    struct buf *out);

/* "gt=" and the id, for the link to the next page. */
int rows_put_after(const struct ref *id, struct buf *out);

#endif
