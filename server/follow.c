#include "server/follow.h"

#include "server/patience.h"
#include "store/err.h"

#define RECORDS_PER_LOOK 64 /* between two looks at the clock */

bool follow_read(const struct api_request *req, struct api_reply *reply, int format, struct follow_params *ret_params)
{
    struct follow_params params = FOLLOW_NONE;
    if (!live_read(req, reply, format, &params.live) || !api_query_bool(req, reply, "old", &params.old)) return false;
    if (!params.old && !params.live) {
        (void)api_problem(reply, "bad-parameter", NULL, "old=false without live=true: that leaves nothing to read");
        return false;
    }
    if (params.live && last_event_read(req, format, &params.above)) params.old = false;
    *ret_params = params;
    return true;
}

int follow_open(struct rows *rows, const struct follow_params *params, const struct filter *filter,
                struct follow *ret_follow)
{
    struct flume *flume = rows->server->flume;
    struct filter_params range;
    rows->live = params->live;
    if (!params->live) return OK;
    filter_params_init(&range);
    range.range.min = params->above != SEQ_EMPTY ? params->above : rows->since;
    range.above = true;
    int err = seq_source_open(&ret_follow->source, flume, filter, &range, 0);
    if (err == OK) seq_source_patience(&ret_follow->source, rows->server->config->query_timeout * 1000);
    ret_follow->listed = !params->old;
    return err;
}

void follow_close(struct follow *follow)
{
    seq_source_close(&follow->source);
}

void follow_begin(struct follow *follow, const struct rows *rows)
{
    follow->until_ms = flume_now_ms() + patience_of_query(rows->server);
    follow->looked = 0;
}

static bool follow_late(struct follow *follow)
{
    return ++follow->looked % RECORDS_PER_LOOK == 0 && flume_now_ms() >= follow->until_ms;
}

int follow_next(struct follow *follow, struct rows *rows, struct message *message, struct log_record *ret_record)
{
    for (;;) {
        int64_t seq;
        if (follow_late(follow)) return err_set(ERR_SLOW, "no row was found in time among what is new");
        int got = seq_source_peek(&follow->source, rows->server->flume, &seq);
        if (got != 1 || seq > views_since(rows->server->flume, rows->views)) return got == 1 ? 0 : got;
        seq_source_take(&follow->source);
        got = seq_source_record(&follow->source, seq, ret_record);
        if (got == OK) got = message_scan(message, ret_record->value.data, ret_record->value.len);
        if (got == ERR_DELETED) continue;
        rows->cursor = seq;
        rows->fresh = seq > rows->since;
        return got == OK ? 1 : got;
    }
}
