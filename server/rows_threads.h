/* Threads as rows, by their newest activity. */
#ifndef SERVER_ROWS_THREADS_H
#define SERVER_ROWS_THREADS_H

#include "server/rows.h"
#include "views/threads.h"

/* The texts of `query` are copied. ERR_ARG, ERR_LIMIT, ERR_BOUNDARY. */
int rows_threads_open(struct server *server, const struct threads_query *query, int64_t limit, struct rows **ret_rows);

#endif
