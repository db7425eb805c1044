#include "views/view_votes.h"

#include "store/err.h"
#include "store/json.h"
#include "views/view_batch.h"
#include "views/view_record.h"

enum { VOTES_TABLE };
enum { VOTES_NEWEST, VOTES_SLOTS };

static const enum register_rule vote_rules[VOTES_SLOTS] = { [VOTES_NEWEST] = REGISTER_LARGEST };

/* The object `vote` of a message and what it points at: OK or ERR_REF. */
static int vote_of(struct slice content, struct slice *ret_vote, struct ref *ret_target)
{
    struct slice vote, link;
    if (json_find(content, "vote", &vote) != 1 || vote.len == 0 || vote.data[0] != '{') return ERR_REF;
    if (json_find(vote, "link", &link) != 1 || record_ref(link, ret_target) != OK) return ERR_REF;
    *ret_vote = vote;
    return OK;
}

static int votes_gather(struct view_batch *batch, const struct view_record *record)
{
    const struct message *message = record->message;
    struct slice vote;
    struct ref target;
    if (message->is_private || message->author_ref.kind == REF_NONE) return OK;
    if (!slice_equal(message->type, SLICE_LITERAL("vote")) || vote_of(message->content, &vote, &target) != OK)
        return OK;
    return pair_offer(batch->registers[VOTES_TABLE], &target, &message->author_ref, VOTES_NEWEST, record->seq);
}

int votes_open(const struct flume_read *read, const struct ref *target, const struct ref *after,
               struct votes_iter *ret_iter)
{
    const struct view *view = flume_view(read->flume, VIEW_votes);
    if (view == NULL) return err_set(ERR_NOTFOUND, "there is no view votes");
    struct votes_iter iter = { .log = read->log };
    int err = pair_open(read->txn, view->tables[VOTES_TABLE], VOTES_SLOTS, target, after, &iter.pairs);
    if (err == OK) *ret_iter = iter;
    return err;
}

void votes_close(struct votes_iter *iter)
{
    pair_close(&iter->pairs);
}

/* What the deciding record says: 1, 0 = it was deleted, <0 error. */
static int vote_read(struct log *log, struct vote *vote)
{
    struct slice content, object, value;
    struct ref target;
    int err = log_get(log, vote->seq, &vote->record);
    if (err != OK) return err == ERR_DELETED ? 0 : err;
    vote->value = 0;
    vote->expression = (struct slice){ NULL, 0 };
    if (record_content(vote->record.value, &content) != 1 || vote_of(content, &object, &target) != OK) return 0;
    if (json_find(object, "value", &value) == 1) (void)json_number(value, &vote->value);
    if (json_find(object, "expression", &value) == 1 && json_is_string(value)) vote->expression = value;
    return 1;
}

int votes_next(struct votes_iter *iter, struct vote *ret_vote)
{
    struct register_slot slots[VOTES_SLOTS];
    struct vote vote;
    int found;
    while ((found = pair_next(&iter->pairs, &vote.author, slots)) == 1) {
        if (slots[VOTES_NEWEST].seq == SEQ_EMPTY) continue;
        vote.seq = slots[VOTES_NEWEST].seq;
        found = vote_read(iter->log, &vote);
        if (found == 0) continue;
        if (found == 1) *ret_vote = vote;
        break;
    }
    return found;
}

const struct view_ops view_votes_ops = {
    .name = "votes",
    .version = 1,
    .tables =
        (const struct view_table[]){
            { .name = "newest", .shape = TABLE_REGISTERS, .slots = VOTES_SLOTS, .rules = vote_rules },
            { .name = NULL },
        },
    .gather = votes_gather,
};
