/* Speaks with the other end of the network, and says how fast: `net_io ADDRESS PORT WHAT SECONDS`.

   `up`, `down`: one connection, in MiB a second, of what has arrived. `turn`: one byte there and back, again and again:
   the median, in microseconds. The first byte says which it is. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PIECE = 256 << 10, MOST = 1 << 20 };
static char piece[PIECE];
static double took[MOST];

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static int ascending(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

int main(int count, char **words) {
    if (count != 5) return 2;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(words[2]))};
    inet_pton(AF_INET, words[1], &to.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    if (connect(fd, (struct sockaddr *)&to, sizeof to)) fail(words[1]);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    char what = words[3][0];
    if (write(fd, &what, 1) != 1) fail("write");
    double begun = now(), seconds = atof(words[4]), bytes = 0;
    int turns = 0;
    while (now() - begun < seconds) {
        double asked = now();
        ssize_t got = 0;
        if (what == 'u') got = write(fd, piece, PIECE);
        if (what == 'd') got = read(fd, piece, PIECE);
        if (what == 't') got = write(fd, piece, 1) == 1 ? read(fd, piece, 1) : -1;
        if (got <= 0) fail(words[3]);
        if (what == 't' && turns < MOST) took[turns++] = now() - asked;
        bytes += got;
    }
    if (what == 'u') { /* the other end closes when it has all of it */
        shutdown(fd, SHUT_WR);
        if (read(fd, piece, 1) < 0) fail("the end");
    }
    double all = now() - begun;
    qsort(took, turns, sizeof *took, ascending);
    printf("RESULT %f\n", what == 't' ? took[turns / 2] * 1e6 : bytes / 1048576 / all);
    return 0;
}
