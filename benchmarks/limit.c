/*
 * The limit of the machine: HTTP probes over fresh connections as an epoll loop in C.
 *
 *     limit PORT COUNT CONCURRENCY [CA_FILE]      with CA_FILE over TLS, certificate verified
 *
 * Each probe is a finite state machine that epoll drives: connect, handshake (TLS only), one request, the answer to
 * its end. It must be a 200 with the body that is expected, or the probe is not good. As little as possible is done
 * for that, so this is what no prober can beat by much. Prints what every prober of the benchmarks prints.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 256
#define ROOM 4096

static const char REQUEST[] =
    "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: limit\r\nAccept: */*\r\nConnection: close\r\n\r\n";
static const char EXPECTED[] = "twenty bytes of text";

enum stage { CONNECTING, SHAKING_HANDS, READING };

struct probe {
    int fd;
    enum stage stage;
    SSL *tls;
    size_t got;
    char answer[ROOM];
};

static int epoll;
static struct sockaddr_in target;
static SSL_CTX *context; /* NULL: plain HTTP */
static long wanted, started, ended, good;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void watch(struct probe *probe, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = probe};
    if (epoll_ctl(epoll, operation, probe->fd, &event) < 0)
        die("epoll_ctl");
}

static void begin(struct probe *probe) {
    int on = 1;
    started++;
    probe->got = 0;
    probe->stage = CONNECTING;
    probe->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (probe->fd < 0)
        die("socket");
    setsockopt(probe->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(probe->fd, (struct sockaddr *)&target, sizeof target) < 0 && errno != EINPROGRESS)
        die("connect");
    watch(probe, EPOLL_CTL_ADD, EPOLLOUT);
}

static void end(struct probe *probe, int is_good) {
    ended++;
    good += is_good;
    if (probe->tls != NULL) {
        SSL_free(probe->tls);
        probe->tls = NULL;
    }
    close(probe->fd);
    if (started < wanted)
        begin(probe);
}

/* Does *answer* have all of a 200 with the body that is expected? */
static int is_expected(struct probe *probe) {
    probe->answer[probe->got] = '\0';
    char *body = strstr(probe->answer, "\r\n\r\n");
    return strncmp(probe->answer, "HTTP/1.1 200 ", 13) == 0 && strcasestr(probe->answer, "content-length: 20\r\n") &&
           body != NULL && strcmp(body + 4, EXPECTED) == 0;
}

/* How a TLS call that did not succeed goes on: 1 it waits for the peer, 0 the connection is over. */
static int waits(struct probe *probe, int result) {
    switch (SSL_get_error(probe->tls, result)) {
    case SSL_ERROR_WANT_READ:
        watch(probe, EPOLL_CTL_MOD, EPOLLIN);
        return 1;
    case SSL_ERROR_WANT_WRITE:
        watch(probe, EPOLL_CTL_MOD, EPOLLOUT);
        return 1;
    default:
        return 0;
    }
}

static void send_request(struct probe *probe) {
    int length = sizeof REQUEST - 1;
    int sent = probe->tls != NULL ? SSL_write(probe->tls, REQUEST, length) : (int)write(probe->fd, REQUEST, length);
    if (sent != length) {
        end(probe, 0);
        return;
    }
    probe->stage = READING;
    watch(probe, EPOLL_CTL_MOD, EPOLLIN);
}

static void shake_hands(struct probe *probe) {
    int result = SSL_do_handshake(probe->tls);
    if (result == 1)
        send_request(probe);
    else if (!waits(probe, result))
        end(probe, 0);
}

static void connected(struct probe *probe) {
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(probe->fd, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error != 0) {
        end(probe, 0);
        return;
    }
    if (context == NULL) {
        send_request(probe);
        return;
    }
    probe->tls = SSL_new(context);
    SSL_set_fd(probe->tls, probe->fd);
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(probe->tls), "127.0.0.1");
    SSL_set_connect_state(probe->tls);
    probe->stage = SHAKING_HANDS;
    shake_hands(probe);
}

static void read_answer(struct probe *probe) {
    for (;;) {
        char *free_space = probe->answer + probe->got;
        size_t room = ROOM - 1 - probe->got;
        int got = probe->tls != NULL ? SSL_read(probe->tls, free_space, room) : (int)read(probe->fd, free_space, room);
        if (got > 0) {
            probe->got += got;
            if (is_expected(probe)) { /* whole: Content-Length says that nothing more comes */
                end(probe, 1);
                return;
            }
            continue;
        }
        if (probe->tls != NULL ? waits(probe, got) : got < 0 && errno == EAGAIN)
            return;
        end(probe, 0);
        return;
    }
}

static void go_on(struct probe *probe) {
    switch (probe->stage) {
    case CONNECTING:
        connected(probe);
        break;
    case SHAKING_HANDS:
        shake_hands(probe);
        break;
    case READING:
        read_answer(probe);
        break;
    }
}

static double cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void run(struct probe *probes, long count, long concurrency) {
    struct epoll_event events[EVENTS];
    wanted = count;
    started = ended = good = 0;
    for (long i = 0; i < concurrency && started < wanted; i++)
        begin(&probes[i]);
    while (ended < wanted) {
        int ready = epoll_wait(epoll, events, EVENTS, 10000);
        if (ready <= 0)
            die("epoll_wait");
        for (int i = 0; i < ready; i++)
            go_on(events[i].data.ptr);
    }
}

int main(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr, "usage: limit PORT COUNT CONCURRENCY [CA_FILE]\n");
        return 2;
    }
    long count = atol(argv[2]), concurrency = atol(argv[3]);
    target = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    target.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (argc > 4) {
        context = SSL_CTX_new(TLS_client_method());
        if (SSL_CTX_load_verify_locations(context, argv[4], NULL) != 1)
            die("CA_FILE");
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    }
    epoll = epoll_create1(EPOLL_CLOEXEC);
    struct probe *probes = calloc(concurrency, sizeof *probes);
    if (epoll < 0 || probes == NULL)
        die("start");
    run(probes, count / 10 + 1, concurrency); /* warm up */
    double before = cpu_seconds();
    run(probes, count, concurrency);
    printf("{\"count\": %ld, \"good\": %ld, \"cpu\": %.6f}\n", count, good, cpu_seconds() - before);
    return 0;
}
