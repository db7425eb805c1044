#include "server/ws_client.h"

#include <libwebsockets.h>
#include <stdatomic.h>
#include <string.h>

/* One turn of a client: enough to fill its socket, little enough that the others come soon. */
#define WS_TURN_FRAMES 64
#define WS_TURN_BYTES ((size_t)256 << 10)

#define WS_KEEP_BYTES ((size_t)1 << 20) /* a buffer that grew larger is given back */

#define WS_STUCK_MS 30000 /* a client that takes nothing for so long is gone or hostile */
#define WS_TIMER_US (5 * LWS_USEC_PER_SEC)

static void client_ask(struct ws_client *client)
{
    if (client->asked_ms == 0) client->asked_ms = flume_now_ms();
    (void)lws_callback_on_writable(client->wsi);
}

static void client_close(struct ws_client *client, int status, const char *why)
{
    if (client->close_status != 0) return;
    client->close_status = status;
    client->close_why = why;
}

static int client_close_now(struct ws_client *client)
{
    unsigned char why[123]; /* what fits a close frame */
    size_t len = strlen(client->close_why);
    if (len > sizeof why) len = sizeof why;
    memcpy(why, client->close_why, len);
    lws_close_reason(client->wsi, (enum lws_close_status)client->close_status, why, len);
    return -1;
}

static int client_fail(struct ws_client *client, int status, const char *why)
{
    client_close(client, status, why);
    return client_close_now(client);
}

int ws_client_open(struct ws_clients *clients, struct ws_client *client, struct lws *wsi,
                   const struct ws_arrival *arrival)
{
    struct server *server = clients->server;
    *client = (struct ws_client){ .wsi = wsi, .next = clients->first };
    buf_init(&client->text, (size_t)server->config->frame_max);
    if (clients->first != NULL) clients->first->prev = client;
    clients->first = client;
    atomic_fetch_add(&server->metrics.ws_clients, 1);

    struct slice target = { arrival->target.data, arrival->target.len };
    int err = live_open(server, target, arrival->public_only, &client->live);
    if (client->live == NULL) client_close(client, LWS_CLOSE_STATUS_UNEXPECTED_CONDITION, "out of memory");
    if (err != OK) client_close(client, LWS_CLOSE_STATUS_POLICY_VIOLATION, "see the problem that was sent");
    if (clients->closing) client_close(client, LWS_CLOSE_STATUS_GOINGAWAY, "the server is closing");
    lws_set_timer_usecs(wsi, WS_TIMER_US);
    client_ask(client);
    return 0;
}

int ws_client_receive(struct ws_clients *clients, struct ws_client *client, const char *data, size_t len)
{
    (void)clients;
    if (client->close_status != 0) return 0;
    if (lws_frame_is_binary(client->wsi))
        return client_fail(client, LWS_CLOSE_STATUS_UNACCEPTABLE_OPCODE, "text messages only");
    if (buf_append(&client->text, data, len) != OK)
        return client_fail(client, LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE, "the message is too large");
    if (!lws_is_final_fragment(client->wsi) || lws_remaining_packet_payload(client->wsi) != 0) return 0;
    int err = live_text(client->live, client->text.len > 0 ? client->text.data : "", client->text.len);
    buf_reset(&client->text);
    if (err == ERR_LIMIT)
        return client_fail(client, LWS_CLOSE_STATUS_POLICY_VIOLATION,
                           "too many operations without reading the answers");
    if (err != OK) return client_fail(client, LWS_CLOSE_STATUS_UNEXPECTED_CONDITION, err_text(err));
    client_ask(client);
    return 0;
}

/* One frame to the socket: its bytes, 0 = nothing to send, -1 = the connection is gone. */
static ssize_t client_send(struct ws_clients *clients, struct ws_client *client)
{
    static const char room[LWS_PRE];
    struct buf *out = &clients->out;
    buf_reset(out);
    if (buf_append(out, room, sizeof room) != OK) return -1;
    int got = live_next(client->live, out);
    if (got == 0) return 0;
    if (got < 0) return client_fail(client, LWS_CLOSE_STATUS_UNEXPECTED_CONDITION, err_text(got));
    size_t len = out->len - LWS_PRE;
    if (lws_write(client->wsi, (unsigned char *)out->data + LWS_PRE, len, LWS_WRITE_TEXT) < 0) return -1;
    atomic_fetch_add_explicit(&clients->server->metrics.ws_frames, 1, memory_order_relaxed);
    return (ssize_t)len;
}

/* 1 = the client may take and get more, 0 = there is nothing more for it now, -1 = close. */
static int client_turn(struct ws_clients *clients, struct ws_client *client)
{
    size_t bytes = 0;
    for (int frames = 0; frames < WS_TURN_FRAMES && bytes < WS_TURN_BYTES; frames++) {
        if (lws_send_pipe_choked(client->wsi)) return 1;
        ssize_t sent = client_send(clients, client);
        if (sent <= 0) return (int)sent;
        bytes += (size_t)sent;
    }
    return 1;
}

int ws_client_writable(struct ws_clients *clients, struct ws_client *client)
{
    client->asked_ms = 0;
    /* A server that closes does not finish what may be years of log. */
    if (client->close_status == LWS_CLOSE_STATUS_GOINGAWAY || client->live == NULL) return client_close_now(client);
    int more = client_turn(clients, client);
    if (clients->out.cap > WS_KEEP_BYTES) {
        buf_free(&clients->out);
        buf_init(&clients->out, WS_FRAME_BYTES);
    }
    if (more < 0) return -1;
    if (more > 0)
        client_ask(client);
    else if (client->close_status != 0)
        return client_close_now(client);
    return 0;
}

int ws_client_timer(struct ws_client *client)
{
    /* A socket that never takes anything is never reported writable: only the clock shows it. */
    if (client->asked_ms != 0 && flume_now_ms() - client->asked_ms > WS_STUCK_MS) return -1;
    lws_set_timer_usecs(client->wsi, WS_TIMER_US);
    return 0;
}

void ws_client_closed(struct ws_clients *clients, struct ws_client *client)
{
    if (client->wsi == NULL) return;
    live_free(client->live);
    buf_free(&client->text);
    if (client->next != NULL) client->next->prev = client->prev;
    if (client->prev != NULL)
        client->prev->next = client->next;
    else
        clients->first = client->next;
    *client = (struct ws_client){ .wsi = NULL };
    atomic_fetch_sub(&clients->server->metrics.ws_clients, 1);
}

void ws_clients_wake(struct ws_clients *clients)
{
    for (struct ws_client *client = clients->first; client != NULL; client = client->next) {
        if (client->live == NULL || live_subscriptions(client->live) == 0) continue;
        live_wake(client->live);
        client_ask(client);
    }
}

void ws_clients_close(struct ws_clients *clients)
{
    clients->closing = true;
    for (struct ws_client *client = clients->first; client != NULL; client = client->next) {
        client->close_status = LWS_CLOSE_STATUS_GOINGAWAY;
        client->close_why = "the server is closing";
        client_ask(client);
    }
}
