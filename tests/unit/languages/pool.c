#include <stdio.h>

#define LIMIT 4

/* A pool. */
struct pool {
    int size;
};

typedef struct {
    int a;
} pair_t;

enum mode { FAST, SAFE };

#ifdef DEBUG
/* Shows it. */
static const char *
show(struct pool *p)
{
    return "pool";
}
#endif

int (*choose(int kind))(void) {
    return 0;
}

struct pool shared = { 10 };
