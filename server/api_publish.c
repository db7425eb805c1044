#include <stdlib.h>
#include <string.h>

#include "server/node.h"
#include "server/publish.h"
#include "server/publish_body.h"
#include "store/err.h"

/* ---- options ---------------------------------------------------------------------------------------------------- */

static int check_own(const struct config *config)
{
    if (config->node_socket != NULL)
        return err_set(ERR_ARG, "--node-socket is for a log that is followed: with --data this program signs itself");
    if (config->secret == NULL) return err_set(ERR_ARG, "--publish signs with the owner's secret: give --secret FILE");
    if (strcmp(config->accept, "any") == 0)
        return err_set(ERR_ARG, "--publish and --accept any contradict each other: where anything may stand, where the "
                                "owner's feed stands cannot be trusted");
    if (!config->sole_signer)
        return err_set(ERR_ARG,
                       "--publish signs with the owner's secret. If any other program (a node, a phone, an older copy) "
                       "signs with it, too, "
                       "or the log here lacks messages that were published elsewhere, the feed forks, and peers stop "
                       "replicating it for good. If that cannot be, say so: --sole-signer");
    return OK;
}

int publish_check(const struct config *config)
{
    if (!config->publish) {
        if (config->sole_signer || config->node_socket != NULL)
            return err_set(ERR_ARG, "--%s is for --publish", config->sole_signer ? "sole-signer" : "node-socket");
        return OK;
    }
    if (config->token_file == NULL)
        return err_set(ERR_ARG,
                       "--publish wants --token-file FILE: who publishes in the owner's name needs a token whose line "
                       "names the scope publish");
    if (config->data != NULL) return check_own(config);
    if (config->sole_signer)
        return err_set(ERR_ARG,
                       "--sole-signer is for a log of one's own (--data): for one that is followed its node signs");
    return OK;
}

int publish_open(const struct config *config, struct node **ret_node)
{
    if (!config->publish || config->data != NULL) return OK;
    char *found = config->node_socket == NULL ? node_socket_of(config->follow) : NULL;
    const char *path = config->node_socket != NULL ? config->node_socket : found;
    int err = path != NULL ? node_start(path, ret_node)
                           : err_set(ERR_ARG,
                                     "%s: this is no node's flume/log.offset, so where its socket is has to be said: "
                                     "--node-socket PATH (ssb-server's is ~/.ssb/socket)",
                                     config->follow);
    free(found);
    return err;
}

/* ---- the route -------------------------------------------------------------------------------------------------- */

static int publish_begin(struct api_request *req, struct api_reply *reply)
{
    struct buf content;
    buf_init(&content, 2 * PUBLISH_BODY_MAX);
    int err = publish_body_read(req->body, &content), answer;
    if (err == ERR_ARG || err == ERR_JSON)
        answer = api_problem(reply, "bad-request", NULL, "%s", err_detail(err));
    else if (err != OK)
        answer = api_problem_err(reply, err);
    else
        answer = req->server->node != NULL ? publish_by_node(req, reply, &content) : publish_sign(req, reply, &content);
    buf_free(&content);
    return answer;
}

int api_publish(struct api_request *req, struct api_reply *reply)
{
    static const char *const names[] = { NULL };
    const struct server *server = req->server;
    if (!api_query_only(req, reply, names)) return API_DONE;
    if (!req->may_publish)
        return api_problem(reply, "forbidden", NULL, "publishing needs a token whose line names the scope publish");
    if (!server->config->publish)
        return api_problem(reply, "forbidden", NULL,
                           "nothing is published here: this server was started without --publish");
    if (req->state == NULL) return publish_begin(req, reply);
    return server->node != NULL ? publish_by_node(req, reply, NULL) : publish_sign(req, reply, NULL);
}
