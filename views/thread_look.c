#include "views/thread_look.h"

#include "store/err.h"
#include "views/index_list.h"
#include "views/near.h"
#include "views/view_contacts.h"
#include "views/view_links.h"
#include "views/view_messages.h"
#include "views/view_record.h"

#define REPLIES_LOOKED 8 /* the newest of a thread, before its list is walked beside that of the type */

void look_init(struct thread_look *look, const struct threads_query *query)
{
    look->query = *query;
    message_init(&look->message);
    message_init(&look->reply);
}

void look_free(struct thread_look *look)
{
    message_free(&look->message);
    message_free(&look->reply);
}

int look_scan(struct thread_look *look, const struct log_record *record)
{
    return message_scan(&look->message, record->value.data, record->value.len);
}

bool look_root_id(const struct thread_look *look, struct ref *ret_root)
{
    const struct message *message = &look->message;
    *ret_root = message->root.kind == REF_MESSAGE ? message->root : message->id;
    return ret_root->kind == REF_MESSAGE;
}

static int newest_reply_walked(const struct thread_look *look, const struct flume_read *read, const struct ref *root,
                               int64_t *ret_seq)
{
    struct filter filter = { 0 };
    struct query query;
    struct log_range range = LOG_RANGE_ALL;
    range.reverse = true;
    int err = filter_set_ref(&filter, "root", root);
    if (err == OK) err = filter_set(&filter, "type", look->query.type.data, look->query.type.len);
    if (err == OK) err = query_open(read->flume, &filter, &range, &query);
    return err == OK ? query_next(&query, read->flume, ret_seq, 1) : err;
}

/* The newest reply that is activity: 1 and its seq, 0, <0 error. Most replies are. */
static int newest_reply(struct thread_look *look, const struct flume_read *read, const struct ref *root,
                        int64_t *ret_seq)
{
    struct list_iter replies;
    struct list_entry entry;
    struct log_record record;
    int looked = 0, got = links_root_iter(read, root, &replies);
    if (got != OK) return got;
    while (looked < REPLIES_LOOKED && (got = list_next(&replies, &entry)) == 1) {
        looked++;
        got = log_get(read->log, (int64_t)entry.at, &record);
        if (got == OK) got = message_scan(&look->reply, record.value.data, record.value.len);
        if (got == ERR_DELETED) continue;
        if (got != OK) break;
        if (!slice_equal(look->reply.type, look->query.type)) continue;
        *ret_seq = record.seq;
        got = 1;
        break;
    }
    list_iter_close(&replies);
    bool none = looked == REPLIES_LOOKED && got != 1 && (got == OK || got == ERR_DELETED);
    return none ? newest_reply_walked(look, read, root, ret_seq) : got;
}

void look_scanned(const struct thread_look *look, const struct log_record *record, struct thread_root *ret_root)
{
    const struct message *message = &look->message;
    struct thread_root root = { .id = message->id, .record = *record };
    /* A reply that others took as their root was activity in the thread it came out of. */
    root.starts = message->root.kind != REF_MESSAGE && slice_equal(message->type, look->query.type);
    if (look->query.hide_private && message_is_secret(message)) root.record.value = (struct slice){ NULL, 0 };
    *ret_root = root;
}

int look_find(struct thread_look *look, const struct flume_read *read, const struct ref *id,
              struct thread_root *ret_root)
{
    struct log_record record;
    int err = messages_find(read, id, &record);
    if (err == ERR_NOTFOUND) {
        *ret_root = (struct thread_root){ .id = *id, .record = { .value = { NULL, 0 } } };
        return OK;
    }
    if (err == OK) err = look_scan(look, &record);
    if (err == OK) look_scanned(look, &record, ret_root);
    return err;
}

/* The newest activity: 1 and its seq, 0 = there is none, <0 error. */
static int newest_activity(struct thread_look *look, const struct flume_read *read, const struct thread_root *root,
                           int64_t *ret_newest)
{
    int64_t newest = SEQ_EMPTY;
    int got = newest_reply(look, read, &root->id, &newest);
    if (got < 0) return got;
    if (root->starts && root->record.seq > newest) newest = root->record.seq;
    *ret_newest = newest;
    return newest != SEQ_EMPTY;
}

static int participates(const struct thread_look *look, const struct flume_read *read, const struct ref *root)
{
    struct filter filter = { 0 };
    struct query query;
    int64_t seq;
    const struct ref *who = &look->query.participating;
    if (who->kind == REF_NONE) return 1;
    int err = filter_set_ref(&filter, "root", root);
    if (err == OK) err = filter_set_ref(&filter, "author", who);
    if (err == OK) err = filter_set(&filter, "type", look->query.type.data, look->query.type.len);
    if (err == OK) err = query_open(read->flume, &filter, &LOG_RANGE_ALL, &query);
    return err == OK ? query_next(&query, read->flume, &seq, 1) : err;
}

static bool is_near(const struct thread_look *look)
{
    const struct near *near = look->query.near;
    return near == NULL || near_has(near, &look->message.author_ref);
}

static int followed(const struct thread_look *look, const struct flume_read *read)
{
    const struct ref *who = &look->query.followed, *author = &look->message.author_ref;
    struct contact contact;
    if (who->kind == REF_NONE || ref_equal(who, author)) return 1;
    int found = contacts_get(read, who, author, &contact);
    return found == 1 ? contact.state == CONTACT_FOLLOWS : found;
}

/* Do the filters on the root, which was looked at last, let its thread pass? 1, 0, <0 error. */
static int root_passes(const struct thread_look *look, const struct flume_read *read, const struct thread_root *root)
{
    const struct threads_query *query = &look->query;
    const struct message *message = &look->message;
    bool asked = query->author.kind != REF_NONE || query->channel.data != NULL || query->followed.kind != REF_NONE ||
                 query->secret != THREADS_ANY || query->near != NULL;
    if (root->record.value.data == NULL) return !asked;
    if (query->secret != THREADS_ANY && message_is_secret(message) != (query->secret == THREADS_SECRET)) return 0;
    if (query->author.kind != REF_NONE && !ref_equal(&query->author, &message->author_ref)) return 0;
    if (!is_near(look)) return 0;
    if (query->channel.data != NULL) {
        struct filter filter = { 0 };
        int err = filter_set(&filter, "channel", query->channel.data, query->channel.len);
        if (err != OK) return err;
        if (!filter_match(&filter, message)) return 0;
    }
    return followed(look, read);
}

int look_participates(const struct thread_look *look, const struct flume_read *read, const struct thread_root *root)
{
    const struct ref *who = &look->query.participating;
    if (who->kind == REF_NONE) return 1;
    if (root->record.value.data != NULL && ref_equal(who, &look->message.author_ref)) return 1;
    return participates(look, read, &root->id);
}

int look_newest(struct thread_look *look, const struct flume_read *read, const struct thread_root *root,
                int64_t *ret_newest)
{
    int got = root_passes(look, read, root);
    return got == 1 ? newest_activity(look, read, root, ret_newest) : got;
}

int look_row(const struct flume_read *read, const struct thread_root *root, int64_t newest, struct thread_row *ret_row)
{
    struct thread_row row = { .root = root->id, .record = root->record };
    int err = log_get(read->log, newest, &row.newest);
    if (err == OK) err = links_count_root(read, &root->id, &row.replies);
    if (err != OK) return err == ERR_DELETED ? 0 : err;
    *ret_row = row;
    return 1;
}

/* The newest message of any type that names the root: 1 and its seq, 0, <0 error. */
static int newest_naming(const struct flume_read *read, const struct ref *root, int64_t *ret_seq)
{
    struct list_iter replies;
    struct list_entry entry;
    struct log_record record;
    int found = links_root_iter(read, root, &replies);
    if (found != OK) return found;
    while ((found = list_next(&replies, &entry)) == 1)
        if (log_get(read->log, (int64_t)entry.at, &record) != ERR_DELETED) break;
    list_iter_close(&replies);
    if (found == 1) *ret_seq = (int64_t)entry.at;
    return found;
}

int look_is_last(const struct flume_read *read, const struct log_record *record, const struct thread_root *root,
                 int64_t newest)
{
    int64_t naming = SEQ_EMPTY;
    int found = newest_naming(read, &root->id, &naming);
    if (found < 0) return found;
    if (root->record.value.data != NULL && root->record.seq > newest) newest = root->record.seq;
    return record->seq == (naming > newest ? naming : newest);
}
