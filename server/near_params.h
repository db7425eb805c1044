/* The filter hops=N&from=FEED of /log, /links, /search, /threads and /live: authors that FEED reaches within N hops. */
#ifndef SERVER_NEAR_PARAMS_H
#define SERVER_NEAR_PARAMS_H

#include "server/api.h"
#include "views/near.h"

struct near_params {
    struct ref from; /* kind REF_NONE = not given */
    int64_t hops;    /* -1 = not given */
};

#define NEAR_PARAMS_NONE ((struct near_params){ .hops = -1 })

/* Takes one of the two: 1, 0 = it is another parameter, ERR_ARG, ERR_REF. */
int near_params_set(struct near_params *params, struct slice name, struct slice value);
/* Both from the query of a request, as they were given. ERR_ARG, ERR_REF. */
int near_params_read(const struct api_request *req, struct near_params *ret_params);
/* ERR_ARG: one without the other. */
int near_params_finish(const struct near_params *params);

bool near_params_given(const struct near_params *params);
uint32_t near_params_views(const struct near_params *params);

/* The set as the views know it now, counted among those of all clients (ERR_QUEUE: too many feeds in them). Looks no longer than patience_ms:
 * after ERR_SLOW, *walk is where the next call goes on (NULL before the first; the caller ends it by graph_close). */
int near_open(struct server *server, const struct near_params *params, int64_t patience_ms, struct graph_walk **walk,
              struct near **ret_near);
void near_close(struct server *server, struct near *near); /* NULL is fine */

#endif
