#include "server/api_record.h"
#include "server/limits.h"
#include "server/rows_log.h"
#include "server/rows_social.h"
#include "server/text.h"

/* ---- /contacts/{id} --------------------------------------------------------------------------------------------- */

/* All lists of one feed together stop growing at about a hundred thousand contacts; the lists one by one do not. */
static int contacts_put_list(struct server *server, const struct contacts_params *params, struct buf *out)
{
    struct rows *rows;
    size_t start = out->len;
    int got = rows_contacts_open(server, params, &rows);
    if (got != OK) return got;
    do {
        if (out->len > start) (void)buf_putc(out, ',');
        size_t mark = out->len;
        got = rows_next(rows, out);
        if (got == 0 && mark > start) out->len = mark - 1;
        if (out->len > LIMIT_WHOLE_BYTES)
            got = err_set(ERR_LIMIT,
                          "these are more than %zu bytes of contacts: ask for one list, as in /contacts/{id}/follows",
                          LIMIT_WHOLE_BYTES);
    } while (got == 1);
    rows_free(rows);
    return got;
}

static int contacts_answer(struct api_request *req, struct api_reply *reply, const struct ref *feed, int64_t since)
{
    struct buf *out = &reply->body;
    (void)buf_puts(out, "{\"id\":");
    text_put_ref(out, feed);
    for (int list = 0; list < CONTACTS_LISTS; list++) {
        const struct contacts_params params = {
            .feed = *feed, .list = (enum contacts_list)list, .limit = -1, .follow = FOLLOW_NONE
        };
        (void)buf_printf(out, ",\"%s\":[", contacts_list_names[list]);
        int err = contacts_put_list(req->server, &params, out);
        if (err != OK) return api_problem_err(reply, err);
        (void)buf_putc(out, ']');
    }
    (void)buf_printf(out, ",\"since\":%lld}", (long long)since);
    return api_json(reply);
}

static int contacts_count_answer(struct api_request *req, struct api_reply *reply, const struct ref *feed,
                                 int64_t since)
{
    struct buf *out = &reply->body;
    struct contacts_counts counts;
    struct flume_read read;
    int err = api_read_begin(req->server, &read);
    if (err != OK) return api_problem_err(reply, err);
    err = contacts_count(&read, feed, &counts);
    flume_read_end(&read);
    if (err != OK) return api_problem_err(reply, err);
    (void)buf_puts(out, "{\"id\":");
    text_put_ref(out, feed);
    (void)buf_printf(out,
                     ",\"count\":{\"follows\":%llu,\"blocks\":%llu,\"followedBy\":%llu,\"blockedBy\":%llu,"
                     "\"friends\":%llu},\"since\":%lld}",
                     (unsigned long long)counts.follows, (unsigned long long)counts.blocks,
                     (unsigned long long)counts.followed_by, (unsigned long long)counts.blocked_by,
                     (unsigned long long)counts.friends, (long long)since);
    return api_json(reply);
}

int api_contacts_get(struct api_request *req, struct api_reply *reply)
{
    static const char *const names[] = { "count", API_FRESH_PARAMS, NULL };
    struct ref feed;
    bool count = false;
    int answer;
    if (!api_query_only(req, reply, names) || !api_path_ref(req, reply, 0, "@", &feed) ||
        !api_query_bool(req, reply, "count", &count))
        return API_DONE;
    if (!api_fresh_now(req, reply, CONTACTS_VIEWS, &answer)) return answer;
    int64_t since = views_since(req->server->flume, CONTACTS_VIEWS);
    if (api_not_modified(req, reply, since)) return API_DONE;
    return count ? contacts_count_answer(req, reply, &feed, since) : contacts_answer(req, reply, &feed, since);
}

/* ---- /contacts/{id}/{list} -------------------------------------------------------------------------------------- */

static bool contacts_read(const struct api_request *req, struct api_reply *reply, int format,
                          struct contacts_params *params)
{
    int list = 0;
    while (list < CONTACTS_LISTS && !text_is(req->path_params[1].value, contacts_list_names[list]))
        list++;
    if (list == CONTACTS_LISTS) {
        (void)api_problem(reply, "not-found", NULL,
                          "there is no such list: follows, blocks, followedBy, blockedBy and friends are there");
        return false;
    }
    params->list = (enum contacts_list)list;
    return api_path_ref(req, reply, 0, "@", &params->feed) && api_query_ref(req, reply, "gt", "@", &params->after) &&
           page_limit_read(req, reply, format, &params->limit) && follow_read(req, reply, format, &params->follow);
}

int api_contacts_list(struct api_request *req, struct api_reply *reply)
{
    static const char *const names[] = { "gt", "limit", FOLLOW_PARAMS, API_FRESH_PARAMS, NULL };
    struct contacts_params params = { .limit = -1 };
    struct rows *rows;
    int answer, format = api_format_of(req, reply);
    if (format < 0 || !api_query_only(req, reply, names) || !contacts_read(req, reply, format, &params))
        return API_DONE;
    if (!api_fresh_now(req, reply, CONTACTS_VIEWS, &answer)) return answer;
    if (!params.follow.live && api_not_modified(req, reply, views_since(req->server->flume, CONTACTS_VIEWS)))
        return API_DONE;
    int err = rows_contacts_open(req->server, &params, &rows);
    return err == OK ? api_reply_rows(req, reply, rows) : api_problem_err(reply, err);
}
