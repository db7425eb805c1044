/* The answer to a connection that no library has yet, or that none will answer any more. */
#ifndef SERVER_REFUSAL_H
#define SERVER_REFUSAL_H

/* What every answer tells browsers: not to guess at types, and that nothing of the log may run or be framed. */
#define REFUSAL_POLICY "default-src 'none'; frame-ancestors 'none'; sandbox"

/* Sends a problem (problems.def) as a whole HTTP answer, as far as the socket takes it at once. The caller closes. */
void refusal_send(int fd, const char *problem, const char *detail);

#endif
