/* `upload length|chunked PROXY ORIGIN BYTES`: one POST; as JSON, the seconds and what the origin says it got. */
#include "net.h"

#define CHUNK_BYTES 65536
#define STALL_SECONDS 20

static int send_plain(int fd, int block_fd, long long left) {
  while (left) {
    off_t at = 0;
    ssize_t sent = sendfile(fd, block_fd, &at, left < BLOCK_BYTES ? (size_t)left : BLOCK_BYTES);
    if (sent <= 0) return 0;
    left -= sent;
  }
  return 1;
}

/* A file in memory that holds one chunk after the other. */
static int make_chunks(int count) {
  static char chunk[CHUNK_BYTES + 16];
  int fd = memfd_create("chunks", MFD_CLOEXEC);
  int head = sprintf(chunk, "%x\r\n", CHUNK_BYTES);
  memcpy(chunk + head + CHUNK_BYTES, "\r\n", 2);
  for (int i = 0; i < count; i++)
    if (write(fd, chunk, (size_t)head + CHUNK_BYTES + 2) < 0) die("memfd");
  return fd;
}

static int send_chunked(int fd, long long chunks) {
  int at_once = 256, chunks_fd = make_chunks(at_once);
  long long chunk_bytes = (long long)lseek(chunks_fd, 0, SEEK_CUR) / at_once;
  while (chunks) {
    long long part = chunks < at_once ? chunks : at_once;
    off_t at = 0;
    while (at < part * chunk_bytes)
      if (sendfile(fd, chunks_fd, &at, (size_t)(part * chunk_bytes - at)) <= 0) return 0;
    chunks -= part;
  }
  return send(fd, "0\r\n\r\n", 5, MSG_NOSIGNAL) == 5;
}

/* Reads the final answer; returns the number in its body, -1 without one. */
static long long read_count(int fd, char *answer, size_t room) {
  size_t got = 0;
  for (ssize_t part; got < room - 1; got += (size_t)part) {
    answer[got] = 0;
    char *body = strstr(answer, "\r\n\r\n");
    if (body && answer[9] == '1') { /* an interim answer: the final one follows */
      got -= (size_t)(body + 4 - answer);
      memmove(answer, body + 4, got);
      part = 0;
      continue;
    }
    if (body && strchr(body + 4, '\n')) return atoll(body + 4);
    if ((part = recv(fd, answer + got, room - 1 - got, 0)) <= 0) return -1;
  }
  return -1;
}

int main(int count, char **arguments) {
  if (count != 5) return 2;
  int is_chunked = !strcmp(arguments[1], "chunked");
  int proxy = atoi(arguments[2]), origin = atoi(arguments[3]);
  long long bytes = atoll(arguments[4]), received = -1;
  if (is_chunked) bytes -= bytes % CHUNK_BYTES;
  const uint64_t *block;
  int block_fd = is_chunked ? -1 : make_block(&block);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = loopback(proxy ? proxy : origin);
  set_nodelay(fd);
  struct timeval stall = {STALL_SECONDS, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &stall, sizeof stall);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &stall, sizeof stall);
  if (connect(fd, (struct sockaddr *)&address, sizeof address)) die("connect");
  char head[512], framing[64];
  sprintf(framing, is_chunked ? "Transfer-Encoding: chunked" : "Content-Length: %lld", bytes);
  int length = sprintf(head,
                       "POST http://127.0.0.1:%d/upload HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: bench/1.0\r\n"
                       "Content-Type: application/octet-stream\r\n%s\r\n\r\n",
                       origin, origin, framing);
  uint64_t began = now_ns();
  if (send(fd, head, (size_t)length, MSG_NOSIGNAL) != length) die("send");
  int is_sent = is_chunked ? send_chunked(fd, bytes / CHUNK_BYTES) : send_plain(fd, block_fd, bytes);
  char answer[4096];
  received = read_count(fd, answer, sizeof answer);
  int is_done = is_sent && received == bytes && !strncmp(answer + 8, " 200", 4);
  printf("{\"done\": %d, \"failed\": %d, \"bytes\": %lld, \"received\": %lld, \"seconds\": %.6f,"
         " \"failure\": \"%.12s\"}\n",
         is_done, !is_done, bytes, received, (double)(now_ns() - began) / 1e9, is_done ? "" : answer);
  return !is_done;
}
