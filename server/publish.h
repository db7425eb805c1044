/* Publishing in the owner's name. Who signs depends on whose log it is: this program its own (publish_sign.c), the node the one that is followed
 * (publish_node.c). Each is a state of the request that POST /publish (api_publish.c) drives. */
#ifndef SERVER_PUBLISH_H
#define SERVER_PUBLISH_H

#include "server/api.h"

struct node;

/* Is what was asked for by --publish possible with the other options? OK, or ERR_ARG with what is missing. */
int publish_check(const struct config *config);

/* What a followed log needs; leaves ret_node NULL for one of our own. */
int publish_open(const struct config *config, struct node **ret_node);

/* Both: the first call takes `content` over (emptied), queues and answers API_WAIT, or makes the reply. The later ones, told by req->state, answer. */
int publish_sign(struct api_request *req, struct api_reply *reply, struct buf *content);
int publish_by_node(struct api_request *req, struct api_reply *reply, struct buf *content);

#endif
