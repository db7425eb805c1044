/* How much of what was sent the kernel keeps for a client that does not take it. It counts against nothing else that is
 * limited, so connections have little; few of them, while they take a lot, may have as much as the system gives. */
#ifndef SERVER_SEND_BUFFER_H
#define SERVER_SEND_BUFFER_H

/* For a TCP socket, or a listening one and those that are accepted from it. */
void send_buffer_cap(int fd);

/* Up to net.ipv4.tcp_wmem (4 MiB as it comes), until it is capped again. Does nothing on a Unix socket or before Linux 5.14. */
void send_buffer_free(int fd);

#endif
