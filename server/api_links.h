/* GET /links, which GET /messages/{id}/links answers through as well. */
#ifndef SERVER_API_LINKS_H
#define SERVER_API_LINKS_H

#include "server/api.h"

#define LINKS_PARAMS "gt", "gte", "lt", "lte", "skip", "reverse", "limit", "live", "values", "count", "from", "hops"

/* The parameter names were checked already. `dest` stands in the path, or NULL. */
int api_links_answer(struct api_request *req, struct api_reply *reply, const struct ref *dest);

#endif
