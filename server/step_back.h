/* Threads whose work others should not wait for: long queries, blobs, connections that may never ask for anything. */
#ifndef SERVER_STEP_BACK_H
#define SERVER_STEP_BACK_H

/* The calling thread leaves the processor to those that answer, where there are fewer processors than threads with work; not by so much that it
 * would starve. Where that is not allowed it works all the same. */
void step_back(void);

#endif
