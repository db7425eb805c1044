/* What GET /log and WS /live have in common: filters, cursor, direction and limit as a client writes them, turned into a filter and a range. */
#ifndef SERVER_FILTER_PARAMS_H
#define SERVER_FILTER_PARAMS_H

#include "server/near_params.h"
#include "server/rows.h"

struct filter_params {
    struct filter filter;
    struct log_range range; /* both ends inclusive, but for the two flags */
    bool above;             /* gt: range.min itself is left out */
    bool below;             /* lt: range.max itself is left out */
    struct near_params near;
    int64_t near_since; /* the set is made when the views are there; SEQ_EMPTY = now */
    int64_t limit;      /* -1 = none given */
    bool live;
    bool live_given;
    bool uri_ids;
    bool old; /* false: only what comes from now on */

    /* which of the pairs were given */
    bool min_given, max_given;
};

/* The views that the answer is made from. */
uint32_t filter_params_views(const struct filter_params *params);

void filter_params_init(struct filter_params *params);

/* Takes one parameter. ERR_NOTFOUND: there is none of that name; ERR_ARG, ERR_REF: bad value, or it contradicts another one. */
int filter_params_set(struct filter_params *params, struct slice name, struct slice value);

/* Checks what only shows when all are there. public_only: encrypted messages are left out. `head` is where "from now on" starts. */
int filter_params_finish(struct filter_params *params, bool public_only, int64_t head);

/* All parameters of an HTTP request, with the rules of its format (enum api_format: limits, live) and Last-Event-ID. false = the problem is made. */
bool filter_params_read(const struct api_request *req, struct api_reply *reply, int format,
                        struct filter_params *ret_params);

/* The same with parameters of the route's own, NULL-ended: these it reads itself. */
bool filter_params_read_with(const struct api_request *req, struct api_reply *reply, int format,
                             const char *const *extra, struct filter_params *ret_params);

/* As filter_params_read, for routes that have the range and their own filters: gt gte lt lte reverse limit live. */
bool range_read(const struct api_request *req, struct api_reply *reply, int format, struct filter_params *ret_params);

/* The problem for an error of the functions above. Answers API_DONE. */
int filter_params_problem(struct api_reply *reply, int err);

/* limit of a list route: given or the format's default, checked against config->limit_max for a JSON page. false = the problem is made. */
bool page_limit_read(const struct api_request *req, struct api_reply *reply, int format, int64_t *ret_limit);

/* The seq in Last-Event-ID, if the answer is SSE: true and the seq. */
bool last_event_read(const struct api_request *req, int format, int64_t *ret_seq);

/* live=true, which a JSON page cannot have. false = the problem is made. */
bool live_read(const struct api_request *req, struct api_reply *reply, int format, bool *ret_live);

#endif
