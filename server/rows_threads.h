/* Threads as rows, by their newest activity. */
#ifndef SERVER_ROWS_THREADS_H
#define SERVER_ROWS_THREADS_H

#include "server/follow.h"
#include "views/threads.h"

/* The texts of `query` are copied; its set of authors near to somebody is made here. ERR_ARG, ERR_LIMIT, ERR_BOUNDARY, ERR_SLOW. */
int rows_threads_open(struct server *server, const struct threads_query *query, const struct near_params *near,
                      int64_t limit, const struct follow_params *follow, struct rows **ret_rows);

#endif
