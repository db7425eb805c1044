#include "views/votes.h"

#include "store/err.h"
#include "store/json.h"
#include "views/view_record.h"

/* The object `vote` of a message and what it points at: OK or ERR_REF. */
static int vote_of(struct slice content, struct slice *ret_vote, struct ref *ret_target)
{
    struct slice vote, link;
    if (json_find(content, "vote", &vote) != 1 || vote.len == 0 || vote.data[0] != '{') return ERR_REF;
    if (json_find(vote, "link", &link) != 1 || record_ref(link, ret_target) != OK) return ERR_REF;
    *ret_vote = vote;
    return OK;
}

static int vote_on(void *ctx, const struct message *message)
{
    struct slice vote;
    struct ref target;
    return vote_of(message->content, &vote, &target) == OK && ref_equal(&target, ctx) ? 0 : -1;
}

bool vote_is_on(const struct message *message, const struct ref *target)
{
    struct ref wanted = *target;
    return vote_on(&wanted, message) == 0;
}

int votes_read(const struct flume_read *read, const struct ref *target, struct said_list *ret_votes)
{
    struct filter filter = { 0 };
    struct ref wanted = *target;
    int err = filter_set_ref(&filter, "dest", target);
    if (err == OK) err = filter_set_text(&filter, "type", "vote");
    return err == OK ? said_read(read, &filter, SAID_AUTHORS_MAX, vote_on, &wanted, ret_votes) : err;
}

bool vote_says(const struct message *message, const struct ref *target, double *ret_value)
{
    struct slice vote, value;
    struct ref link;
    if (!slice_equal(message->type, SLICE_LITERAL("vote")) || vote_of(message->content, &vote, &link) != OK ||
        !ref_equal(&link, target))
        return false;
    *ret_value = 0;
    if (json_find(vote, "value", &value) == 1) (void)json_number(value, ret_value);
    return true;
}

int vote_read(struct log *log, const struct said *said, struct vote *ret_vote)
{
    struct vote vote = { .author = said->author, .seq = said->seq };
    struct slice content, object, value;
    struct log_record record;
    struct ref target;
    int err = log_get(log, said->seq, &record);
    if (err != OK) return err == ERR_DELETED ? 0 : err;
    if (record_content(record.value, &content) != 1 || vote_of(content, &object, &target) != OK) return 0;
    if (json_find(object, "value", &value) == 1) (void)json_number(value, &vote.value);
    if (json_find(object, "expression", &value) == 1 && json_is_string(value)) vote.expression = value;
    *ret_vote = vote;
    return 1;
}

int votes_tally(const struct flume_read *read, const struct ref *target, uint64_t *ret_count)
{
    struct said_list votes;
    struct vote vote;
    uint64_t count = 0;
    int got = votes_read(read, target, &votes);
    if (got != OK) return got;
    for (size_t i = 0; i < votes.count && got >= 0; i++) {
        got = vote_read(read->log, &votes.items[i], &vote);
        count += got == 1 && vote.value > 0;
    }
    said_free(&votes);
    if (got < 0) return got;
    *ret_count = count;
    return OK;
}
