#include "server/gate.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "server/refusal.h"
#include "store/err.h"

#define TOLD_MS 2000 /* for reading why one's request has ended */

/* Addresses are counted in chains of a table that has as many heads as there may be connections: short unless
 * somebody forges addresses that collide, and then no longer than the connections that he holds. */
struct gate_address {
    struct gate_address *next;
    uint8_t key[16];
    int64_t count;
    int64_t queries; /* that take long; some may outlast its connections */
};

struct gate_entry {
    struct gate_address *address; /* NULL for a Unix socket */
    uint64_t ticket;              /* 0 = not inside */
    struct gate_times *times;     /* see gate_watch; NULL = nobody waits here */
    int64_t awaited_ms;           /* by the last sweep: what sweep_one answered */
    int64_t told_ms;              /* the same when it was told that the client has ended */
    bool loopback;
};

struct gate {
    pthread_mutex_t lock;
    const struct config *config;
    struct metrics *metrics;
    struct gate_entry *entries; /* by descriptor */
    struct pollfd *looks;       /* of a sweep: room for all entries */
    size_t entry_count;
    int64_t inside;
    uint64_t last_ticket;
    size_t head_count; /* a power of two */
    struct gate_address **heads;
};

int gate_open(const struct config *config, struct metrics *metrics, struct gate **ret_gate)
{
    struct gate *gate = calloc(1, sizeof *gate);
    if (gate == NULL) return err_set(ERR_NOMEM, "out of memory");
    gate->head_count = 64;
    while (gate->head_count < (size_t)config->connections_max && gate->head_count < 65536)
        gate->head_count *= 2;
    gate->heads = calloc(gate->head_count, sizeof(struct gate_address *));
    if (gate->heads == NULL) {
        free(gate);
        return err_set(ERR_NOMEM, "out of memory");
    }
    (void)pthread_mutex_init(&gate->lock, NULL);
    gate->config = config;
    gate->metrics = metrics;
    *ret_gate = gate;
    return OK;
}

void gate_free(struct gate *gate)
{
    if (gate == NULL) return;
    for (size_t i = 0; i < gate->head_count; i++) {
        while (gate->heads[i] != NULL) {
            struct gate_address *address = gate->heads[i];
            gate->heads[i] = address->next;
            free(address);
        }
    }
    (void)pthread_mutex_destroy(&gate->lock);
    free(gate->heads);
    free(gate->entries);
    free(gate->looks);
    free(gate);
}

/* false for what has no address. IPv4 is written as IPv6 writes it, so that a client counts once whichever way it
 * came. */
static bool address_key(const struct sockaddr *address, uint8_t key[16])
{
    memset(key, 0, 16);
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof in);
        key[10] = key[11] = 0xff;
        memcpy(key + 12, &in.sin_addr, 4);
        return true;
    }
    if (address->sa_family != AF_INET6) return false;
    struct sockaddr_in6 in6;
    memcpy(&in6, address, sizeof in6);
    memcpy(key, &in6.sin6_addr, IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr) || IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr) ? 16 : 8);
    return true;
}

static size_t address_head(const struct gate *gate, const uint8_t key[16])
{
    uint64_t hash = 0;
    for (size_t i = 0; i < 16; i++)
        hash = (hash ^ key[i]) * UINT64_C(0x9E3779B97F4A7C15);
    return (size_t)(hash >> 32) & (gate->head_count - 1);
}

static struct gate_address *address_of(struct gate *gate, const uint8_t key[16])
{
    struct gate_address **head = &gate->heads[address_head(gate, key)];
    for (struct gate_address *address = *head; address != NULL; address = address->next)
        if (memcmp(address->key, key, 16) == 0) return address;
    struct gate_address *address = calloc(1, sizeof *address);
    if (address == NULL) return NULL;
    memcpy(address->key, key, 16);
    address->next = *head;
    *head = address;
    return address;
}

static void address_drop(struct gate *gate, struct gate_address *address)
{
    if (address == NULL || address->count > 0 || address->queries > 0) return;
    struct gate_address **link = &gate->heads[address_head(gate, address->key)];
    while (*link != address)
        link = &(*link)->next;
    *link = address->next;
    free(address);
}

static void leave_locked(struct gate *gate, size_t fd)
{
    if (fd >= gate->entry_count || gate->entries[fd].ticket == 0) return;
    struct gate_address *address = gate->entries[fd].address;
    gate->entries[fd] = (struct gate_entry){ 0 };
    gate->inside--;
    gate->metrics->connections--;
    if (address != NULL) address->count--;
    address_drop(gate, address);
}

static int entries_reach(struct gate *gate, size_t fd)
{
    if (fd < gate->entry_count) return OK;
    size_t count = gate->entry_count < 64 ? 64 : gate->entry_count * 2;
    if (count <= fd) count = fd + 1;
    struct pollfd *looks = realloc(gate->looks, count * sizeof *looks);
    if (looks == NULL) return err_set(ERR_NOMEM, "out of memory");
    gate->looks = looks;
    struct gate_entry *entries = realloc(gate->entries, count * sizeof *entries);
    if (entries == NULL) return err_set(ERR_NOMEM, "out of memory");
    memset(entries + gate->entry_count, 0, (count - gate->entry_count) * sizeof *entries);
    gate->entries = entries;
    gate->entry_count = count;
    return OK;
}

static int enter_locked(struct gate *gate, size_t fd, const struct sockaddr *from, bool loopback)
{
    uint8_t key[16];
    int err = entries_reach(gate, fd);
    if (err != OK) return err;
    leave_locked(gate, fd); /* the number was given again, so its last owner is gone */
    if (gate->inside >= gate->config->connections_max) return err_set(ERR_QUEUE, "there are too many connections");
    struct gate_address *address = NULL;
    if (address_key(from, key)) {
        address = address_of(gate, key);
        if (address == NULL) return err_set(ERR_NOMEM, "out of memory");
        if (address->count >= gate->config->connections_per_address)
            return err_set(ERR_LIMIT, "there are too many connections from this address");
        address->count++;
    }
    gate->entries[fd] = (struct gate_entry){ .address = address, .ticket = ++gate->last_ticket, .loopback = loopback };
    gate->inside++;
    gate->metrics->connections++;
    return OK;
}

int gate_enter(struct gate *gate, int fd, const struct sockaddr *address, bool loopback)
{
    (void)pthread_mutex_lock(&gate->lock);
    int err = enter_locked(gate, (size_t)fd, address, loopback);
    (void)pthread_mutex_unlock(&gate->lock);
    if (err != OK) gate->metrics->connections_refused++;
    return err;
}

void gate_leave(struct gate *gate, int fd)
{
    if (gate == NULL || fd < 0) return;
    (void)pthread_mutex_lock(&gate->lock);
    leave_locked(gate, (size_t)fd);
    (void)pthread_mutex_unlock(&gate->lock);
}

struct gate_place gate_place_of(struct gate *gate, int fd)
{
    struct gate_place place = { .fd = fd };
    if (gate == NULL || fd < 0) return place;
    (void)pthread_mutex_lock(&gate->lock);
    if ((size_t)fd < gate->entry_count && gate->entries[fd].ticket != 0) {
        place.gate = gate;
        place.ticket = gate->entries[fd].ticket;
    }
    (void)pthread_mutex_unlock(&gate->lock);
    return place;
}

void gate_place_leave(struct gate_place *place)
{
    struct gate *gate = place->gate;
    if (gate == NULL) return;
    (void)pthread_mutex_lock(&gate->lock);
    if (gate->entries[place->fd].ticket == place->ticket) leave_locked(gate, (size_t)place->fd);
    (void)pthread_mutex_unlock(&gate->lock);
    place->gate = NULL;
}

int gate_query_enter(const struct gate_place *place, struct gate_query *ret_query)
{
    struct gate *gate = place->gate;
    struct gate_address *address = NULL;
    bool full = false;
    if (gate != NULL) {
        (void)pthread_mutex_lock(&gate->lock);
        const struct gate_entry *entry = &gate->entries[place->fd];
        if (entry->ticket == place->ticket) address = entry->address;
        full = address != NULL && address->queries >= gate->config->queries_per_address;
        if (address != NULL && !full) address->queries++;
        (void)pthread_mutex_unlock(&gate->lock);
    }
    if (full)
        return err_set(ERR_SHARE, "%lld queries of this address that take long are under way already",
                       (long long)gate->config->queries_per_address);
    *ret_query = (struct gate_query){ .gate = address != NULL ? gate : NULL, .address = address };
    return OK;
}

void gate_query_leave(struct gate_query *query)
{
    struct gate *gate = query->gate;
    if (gate == NULL) return;
    (void)pthread_mutex_lock(&gate->lock);
    query->address->queries--;
    address_drop(gate, query->address);
    (void)pthread_mutex_unlock(&gate->lock);
    query->gate = NULL;
}

void gate_watch(struct gate *gate, int fd, struct gate_times *times)
{
    if (gate == NULL || fd < 0) return;
    (void)pthread_mutex_lock(&gate->lock);
    if ((size_t)fd < gate->entry_count && gate->entries[fd].ticket != 0) gate->entries[fd].times = times;
    (void)pthread_mutex_unlock(&gate->lock);
}

bool gate_tell(struct gate_times *times, int fd, int64_t now_ms, const char *problem, const char *detail)
{
    int64_t until = atomic_load(&times->body_until_ms);
    if (until <= 0 || !atomic_compare_exchange_strong(&times->body_until_ms, &until, -now_ms)) return false;
    refusal_send(fd, problem, detail);
    (void)shutdown(fd, SHUT_WR);
    return true;
}

bool gate_body_over(struct gate_times *times)
{
    int64_t until = atomic_load(&times->body_until_ms);
    return until >= 0 && atomic_compare_exchange_strong(&times->body_until_ms, &until, 0);
}

/* Takes the time away, so that nobody is shut down twice. */
static bool taken_if_before(_Atomic int64_t *time, int64_t since, int64_t before_ms)
{
    return since < before_ms && atomic_compare_exchange_strong(time, &since, 0);
}

/* What is waited for, since when or until when; 0 = nothing, or it is over. */
static int64_t sweep_one(const struct gate_entry *entry, int fd, int64_t now_ms, int64_t patience_ms)
{
    struct gate_times *times = entry->times;
    int64_t waiting = atomic_load(&times->waiting_ms), until = atomic_load(&times->body_until_ms);
    bool late = (waiting != 0 && taken_if_before(&times->waiting_ms, waiting, now_ms - patience_ms)) ||
                (until < 0 && -until < now_ms - TOLD_MS);
    if (late) {
        (void)shutdown(fd, SHUT_RDWR);
        return 0;
    }
    if (until > 0 && until < now_ms) {
        (void)gate_tell(times, fd, now_ms, "timeout", "the body has not arrived in time");
        return 0;
    }
    return waiting > 0 ? waiting : until > 0 ? until : 0;
}

/* A client that has ended, and all that it sent was read. */
static bool client_ended(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* The end that came together with the last bytes is not seen by who stops reading when there are fewer than he asked for, and waits for an event
 * (libmicrohttpd 0.9.75): it is reported once more, and changes nothing. Nobody tells when a part of a head comes, so each sweep looks at all who
 * wait, in one go: one by one that took a millisecond for a thousand of them. */
static void sweep_ends(struct gate *gate, size_t count)
{
    if (count == 0 || poll(gate->looks, count, 0) <= 0) return;
    for (size_t i = 0; i < count; i++) {
        int fd = gate->looks[i].fd;
        struct gate_entry *entry = &gate->entries[fd];
        if (gate->looks[i].revents == 0 || entry->told_ms == entry->awaited_ms || !client_ended(fd)) continue;
        entry->told_ms = entry->awaited_ms;
        (void)shutdown(fd, SHUT_RD);
    }
}

/* What is inside is open for certain: whoever closes it leaves first, and for that needs the lock. */
void gate_sweep(struct gate *gate, int64_t now_ms, int64_t patience_ms)
{
    if (gate == NULL) return;
    size_t count = 0;
    (void)pthread_mutex_lock(&gate->lock);
    for (size_t fd = 0; fd < gate->entry_count; fd++) {
        struct gate_entry *entry = &gate->entries[fd];
        if (entry->times == NULL) continue;
        entry->awaited_ms = sweep_one(entry, (int)fd, now_ms, patience_ms);
        if (entry->awaited_ms != 0) gate->looks[count++] = (struct pollfd){ .fd = (int)fd, .events = POLLRDHUP };
    }
    sweep_ends(gate, count);
    (void)pthread_mutex_unlock(&gate->lock);
}

bool gate_loopback(struct gate *gate, int fd)
{
    if (gate == NULL || fd < 0) return false;
    (void)pthread_mutex_lock(&gate->lock);
    bool loopback = (size_t)fd < gate->entry_count && gate->entries[fd].ticket != 0 && gate->entries[fd].loopback;
    (void)pthread_mutex_unlock(&gate->lock);
    return loopback;
}
