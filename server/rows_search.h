/* GET /search: records with what was found in them. */
#ifndef SERVER_ROWS_SEARCH_H
#define SERVER_ROWS_SEARCH_H

#include "server/filter_params.h"

enum search_order { SEARCH_RANK, SEARCH_NEWEST, SEARCH_OLDEST };

struct search_params {
    struct filter_params params; /* range.reverse as the order wants it */
    enum search_order order;
    int64_t skip; /* rows of the ranking that were given already */
};

/* Not live: bounded by what the answer knows when it is opened. ERR_BOUNDARY, ERR_SLOW. */
int rows_search_open(struct server *server, const struct search_params *params, struct rows **ret_rows);

#endif
