#include "server/ws_client.h"

#include <libwebsockets.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

#include "server/limits.h"
#include "server/step_back.h"
#include "server/ws_frame.h"

/* One turn of a client: enough to fill its socket, little enough that the others come soon. What the socket does not take
 * of it stays in libwebsockets' memory, so this is also what a client that stopped reading costs beside its socket. */
#define WS_TURN_FRAMES 1024
#define WS_TURN_BYTES LIMIT_FRAMES_AHEAD

#define WS_KEEP_BYTES ((size_t)1 << 20) /* a buffer that grew larger is given back */

/* Clients that are looked at before the first of them is sent to: what lies idle between two messages has to come from memory, and many
 * are waited for as long as one. */
#define WS_WAKE_TOGETHER 16

#define WS_TIMER_S 5            /* how often a client is looked at */
#define WS_TRY_AGAIN_LATER 1013 /* a code that the library has no name for */

static void client_look_later(const struct ws_clients *clients, const struct ws_client *client)
{
    int64_t stall = clients->server->config->stall_timeout;
    lws_set_timer_usecs(client->wsi, (stall < WS_TIMER_S ? stall : WS_TIMER_S) * LWS_USEC_PER_SEC);
}

static void client_ask(struct ws_client *client)
{
    if (client->asked_ms == 0) client->asked_ms = flume_now_ms();
    (void)lws_callback_on_writable(client->wsi);
}

/* While the library still holds what the socket did not take, nothing is read: 4.1 does not close a connection that ends in that state, and reads
 * its end again and again without looking after anybody else. */
static void client_listen(struct ws_client *client, bool listens)
{
    const int now = LWS_RXFLOW_REASON_USER_BOOL | LWS_RXFLOW_REASON_FLAG_PROCESS_NOW;
    if (client->deaf == !listens) return;
    client->deaf = !listens;
    (void)lws_rx_flow_control(client->wsi,
                              now | (listens ? LWS_RXFLOW_REASON_APPLIES_ENABLE : LWS_RXFLOW_REASON_APPLIES_DISABLE));
}

static bool client_speaks(const struct ws_client *client)
{
    struct pollfd fd = { .fd = lws_get_socket_fd(client->wsi), .events = POLLIN };
    return poll(&fd, 1, 0) == 1;
}

/* A client that is given more than its socket takes at once is heard in between: true = now. Reading comes after writing in the library, so two turns
 * go by: this one, in which it is listened to again, and the next, after which what it said is read. */
static bool client_has_the_word(struct ws_client *client)
{
    if (client->heard) {
        client->heard = false;
        return true;
    }
    if (!client->deaf) return false;
    lws_validity_confirmed(client->wsi); /* it takes what it is given: its pongs may wait in the same queue */
    client_listen(client, true);
    client->heard = client_speaks(client);
    return client->heard;
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

/* As client_fail, but the rest of the message under way is still read, and thrown away: the library loses its place in the
 * frames when a receiver fails, and may then drop the connection before the close frame is out. */
static int client_give_up(struct ws_client *client, int status, const char *why)
{
    client_close(client, status, why);
    client->given_up = true;
    client_ask(client);
    return 0;
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
    struct server *reader = api_server_of(server, arrival->may_private);
    int err = live_open(reader, target, arrival->public_only, &arrival->place, &client->live);
    if (client->live == NULL) client_close(client, LWS_CLOSE_STATUS_UNEXPECTED_CONDITION, "out of memory");
    if (err != OK) client_close(client, LWS_CLOSE_STATUS_POLICY_VIOLATION, "see the problem that was sent");
    if (clients->closing) client_close(client, LWS_CLOSE_STATUS_GOINGAWAY, "the server is closing");
    client_look_later(clients, client);
    client_ask(client);
    return 0;
}

/* The library lets a text pass that ends within a character if its last fragment is empty. */
static bool text_cut(struct slice text)
{
    for (size_t back = 1; back <= 3 && back <= text.len; back++) {
        unsigned char c = (unsigned char)text.data[text.len - back];
        if (c < 0x80) return false;
        if (c >= 0xc0) return back < (c >= 0xf0 ? 4U : c >= 0xe0 ? 3U : 2U);
    }
    return false;
}

/* Such a client is not waited for: not for its socket to take a close frame, nor for its answer to that. */
static int client_flooded(struct ws_client *client)
{
    if (lws_partial_buffered(client->wsi) != 0) (void)shutdown(lws_get_socket_fd(client->wsi), SHUT_RDWR);
    return client_fail(client, LWS_CLOSE_STATUS_POLICY_VIOLATION, "too many operations without reading the answers");
}

int ws_client_receive(struct ws_clients *clients, struct ws_client *client, const char *data, size_t len)
{
    (void)clients;
    if (client->close_status != 0) return 0;
    if (lws_frame_is_binary(client->wsi))
        return client_give_up(client, LWS_CLOSE_STATUS_UNACCEPTABLE_OPCODE, "text messages only");
    size_t left = lws_remaining_packet_payload(client->wsi);
    if (client->text.len + len + left > client->text.max || buf_append(&client->text, data, len) != OK)
        return client_give_up(client, LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE, "the message is too large");
    if (!lws_is_final_fragment(client->wsi) || left != 0) return 0;
    if (text_cut((struct slice){ client->text.data, client->text.len }))
        return client_give_up(client, LWS_CLOSE_STATUS_INVALID_PAYLOAD, "a text ends within a character");
    int err = live_text(client->live, client->text.len > 0 ? client->text.data : "", client->text.len);
    buf_reset(&client->text);
    if (err == ERR_LIMIT) return client_flooded(client);
    if (err != OK) return client_give_up(client, LWS_CLOSE_STATUS_UNEXPECTED_CONDITION, err_text(err));
    client_ask(client);
    return 0;
}

static bool close_code_valid(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

int ws_client_peer_close(struct ws_client *client, const char *payload, size_t len)
{
    unsigned code = len < 2 ? 0 : (unsigned)(unsigned char)payload[0] << 8 | (unsigned char)payload[1];
    /* the library would send these back as they are, and so break the protocol itself */
    if (len > 0 && !close_code_valid(code))
        return client_fail(client, LWS_CLOSE_STATUS_PROTOCOL_ERR, "no such close code");
    if (len > 2 && text_cut((struct slice){ payload + 2, len - 2 }))
        return client_fail(client, LWS_CLOSE_STATUS_INVALID_PAYLOAD, "the reason ends within a character");
    return 0;
}

/* As many frames as one turn takes. OK or an error. */
static int turn_make(struct ws_turn *turn, struct live *live)
{
    static const char room[LWS_PRE];
    struct buf *out = &turn->out;
    buf_reset(out);
    turn->frames = 0;
    turn->more = true;
    if (buf_append(out, room, sizeof room) != OK) return out->err;
    while (turn->frames < WS_TURN_FRAMES && out->len < WS_TURN_BYTES) {
        size_t mark;
        int got = ws_frame_begin(out, &mark);
        if (got == OK) got = live_next(live, out);
        if (got == 1 && ws_frame_end(out, mark) != OK) got = out->err;
        if (got != 1) ws_frame_drop(out, mark);
        if (got < 0) return got;
        turn->more = got != 0;
        if (got != 1) break;
        turn->frames++;
    }
    return OK;
}

/* The client's turn: most of the time it is that of the client before, made once for all. */
static int client_collect(struct ws_clients *clients, struct ws_client *client)
{
    struct ws_turn *turn = &clients->turn;
    struct live_place from;
    bool common = live_place(client->live, &from);
    if (common && turn->common && live_place_same(&from, &turn->from)) {
        turn->more = live_go(client->live, &turn->to);
        return OK;
    }
    turn->common = false;
    int err = turn_make(turn, client->live);
    if (err != OK) return err;
    turn->from = from;
    turn->common = common && turn->frames > 0 && live_place(client->live, &turn->to);
    return OK;
}

/* The collected frames to the socket: 0, or -1 = close. */
static int client_write(struct ws_clients *clients, struct ws_client *client)
{
    const struct ws_turn *turn = &clients->turn;
    unsigned char *data = (unsigned char *)turn->out.data + LWS_PRE;
    if (turn->frames == 0) return 0;
    if (lws_write(client->wsi, data, turn->out.len - LWS_PRE, LWS_WRITE_RAW) < 0) return -1;
    if (lws_partial_buffered(client->wsi) != 0) client_listen(client, false);
    atomic_fetch_add_explicit(&clients->server->metrics.ws_frames, turn->frames, memory_order_relaxed);
    return 0;
}

/* Is there something left to do when the socket takes more? What it did not take of a turn is with the library until then. */
static bool client_unfinished(const struct ws_clients *clients, const struct ws_client *client)
{
    return clients->turn.more || lws_partial_buffered(client->wsi) != 0;
}

static void turn_shrink(struct ws_turn *turn)
{
    if (turn->out.cap <= WS_KEEP_BYTES) return;
    buf_free(&turn->out);
    buf_init(&turn->out, WS_FRAME_BYTES);
    turn->common = false;
}

int ws_client_writable(struct ws_clients *clients, struct ws_client *client)
{
    client->asked_ms = 0;
    /* Nothing may follow a close frame, neither ours nor one that the library sent for a frame without sense. */
    if (lws_get_close_length(client->wsi) > 0) return 0;
    /* A server that closes does not finish what may be years of log. */
    if (client->close_status == LWS_CLOSE_STATUS_GOINGAWAY || client->given_up || client->live == NULL)
        return client_close_now(client);
    if (client_has_the_word(client)) {
        client_ask(client);
        return 0;
    }
    int err = client_collect(clients, client);
    if (err != OK) return client_fail(client, LWS_CLOSE_STATUS_UNEXPECTED_CONDITION, err_text(err));
    if (client_write(clients, client) != 0) return -1;
    bool unfinished = client_unfinished(clients, client);
    bool last = clients->turn.frames == 0;
    turn_shrink(&clients->turn);
    if (last && client->close_status != 0) return client_close_now(client);
    if (unfinished || client->close_status != 0) client_ask(client);
    return 0;
}

/* It has taken everything so far, and nothing is out of the ordinary. */
static bool client_is_ready(const struct ws_client *client)
{
    return client->asked_ms == 0 && client->close_status == 0 && lws_get_close_length(client->wsi) == 0 &&
           lws_partial_buffered(client->wsi) == 0;
}

/* A client that is ready gets what is new at once, without asking its socket first: what does not fit stays with the library until it
 * does. All else is left to the callback, which may close. */
static void client_push(struct ws_clients *clients, struct ws_client *client)
{
    bool failed = client_collect(clients, client) != OK || client_write(clients, client) != 0;
    if (failed) client_close(client, LWS_CLOSE_STATUS_UNEXPECTED_CONDITION, "the frame could not be made");
    if (failed || client_unfinished(clients, client)) client_ask(client);
    turn_shrink(&clients->turn);
}

int ws_client_timer(const struct ws_clients *clients, struct ws_client *client)
{
    /* A socket that never takes anything is never reported writable: only the clock shows it. Whoever reads again in the next moments
     * learns why he was sent away. */
    int64_t stall_ms = clients->server->config->stall_timeout * 1000;
    if (client->asked_ms != 0 && flume_now_ms() - client->asked_ms > stall_ms)
        return client_fail(client, WS_TRY_AGAIN_LATER, "nothing was read for too long: go on with gt");
    client_look_later(clients, client);
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
    struct ws_client *woken[WS_WAKE_TOGETHER];
    bool ready[WS_WAKE_TOGETHER];
    for (struct ws_client *client = clients->first; client != NULL;) {
        size_t count = 0;
        for (; client != NULL && count < WS_WAKE_TOGETHER; client = client->next) {
            if (client->live == NULL || !live_wake(client->live)) continue;
            ready[count] = client_is_ready(client);
            woken[count++] = client;
        }
        for (size_t i = 0; i < count; i++) {
            if (ready[i])
                client_push(clients, woken[i]);
            else
                client_ask(woken[i]);
        }
        step_aside();
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
