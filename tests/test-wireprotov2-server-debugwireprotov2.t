hg debugwireprotov2 shows the bytes of API exp-http-v2-0003

  $ . $TESTDIR/helpers/serve.sh
  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > wireprotov2 =
  > EOF
  $ hg init server
  $ echo a > server/a
  $ hg -R server commit -q -A -m 0
  $ hg -R server phase -p 0
  $ serve -R server
  $ send() {
  >   hg debugwireprotov2 http://$LOCALIP:$HGPORT/ "$@"
  > }

The client sends the encodings that it can decode, and the server names the
encoding of its stream

  $ send << EOF
  > # a comment
  > command heads
  >     publiconly eval:True
  > EOF
  creating http peer for wire protocol version 2
  sending heads command
  s>     POST /api/exp-http-v2-0003/ro/heads HTTP/1.1\r\n
  s>     Accept-Encoding: identity\r\n
  s>     accept: application/mercurial-exp-framing-0006\r\n
  s>     content-type: application/mercurial-exp-framing-0006\r\n
  s>     content-length: 74\r\n
  s>     host: $LOCALIP:$HGPORT\r\n (glob)
  s>     user-agent: Mercurial debugwireproto\r\n
  s>     \r\n
  s>     \x1c\x00\x00\x01\x00\x01\x01\x82\xa1Pcontentencodings\x81Hidentity\x1e\x00\x00\x01\x00\x01\x00\x11\xa2Dargs\xa1Jpubliconly\xf5DnameEheads
  s> makefile('rb', None)
  s>     HTTP/1.1 200 OK\r\n
  s>     Server: testing stub value\r\n
  s>     Date: *\r\n (glob)
  s>     Content-Type: application/mercurial-exp-framing-0006\r\n
  s>     Transfer-Encoding: chunked\r\n
  s>     \r\n
  s>     11\r\n
  s>     \t\x00\x00\x01\x00\x02\x01\x92
  s>     Hidentity
  s>     \r\n
  received frame(size=9; request=1; stream=2; streamflags=stream-begin; type=stream-settings; flags=eos)
  s>     13\r\n
  s>     \x0b\x00\x00\x01\x00\x02\x041
  s>     \xa1FstatusBok
  s>     \r\n
  received frame(size=11; request=1; stream=2; streamflags=encoded; type=command-response; flags=continuation)
  s>     1e\r\n
  s>     \x16\x00\x00\x01\x00\x02\x041
  s>     \x81T\xf7\xb1\xeb\x17\xad$s\n
  s>     \x16Q\xfc\xcdF\xc48&\xd1\xbb\xc2\xac
  s>     \r\n
  received frame(size=22; request=1; stream=2; streamflags=encoded; type=command-response; flags=continuation)
  s>     8\r\n
  s>     \x00\x00\x00\x01\x00\x02\x002
  s>     \r\n
  s>     0\r\n
  s>     \r\n
  received frame(size=0; request=1; stream=2; streamflags=; type=command-response; flags=eos)
  response: gen[
    [
      b'\xf7\xb1\xeb\x17\xad$s\n\x16Q\xfc\xcdF\xc48&\xd1\xbb\xc2\xac'
    ]
  ]

Several commands in one request: each response has a stream of its own. The HTTP
header fields are those above, but for the path and the length.

  $ send << EOF | grep -v '^s>     [A-Za-z-]*: '
  > batchbegin
  > command known
  >     nodes eval:[b'\x00\x01', b'12345678901234567890']
  > command lookup
  >     key nothing
  > command listkeys
  >     namespace phases
  > batchsubmit
  > EOF
  creating http peer for wire protocol version 2
  sending batch with 3 sub-commands
  s>     POST /api/exp-http-v2-0003/ro/multirequest HTTP/1.1\r\n
  s>     \r\n
  s>     \x1c\x00\x00\x01\x00\x01\x01\x82\xa1Pcontentencodings\x81Hidentity1\x00\x00\x01\x00\x01\x00\x11\xa2Dargs\xa1Enodes\x82B\x00\x01T12345678901234567890DnameEknown\x1f\x00\x00\x03\x00\x01\x00\x11\xa2Dargs\xa1CkeyGnothingDnameFlookup&\x00\x00\x05\x00\x01\x00\x11\xa2Dargs\xa1InamespaceFphasesDnameHlistkeys
  s> makefile('rb', None)
  s>     HTTP/1.1 200 OK\r\n
  s>     \r\n
  s>     11\r\n
  s>     \t\x00\x00\x01\x00\x02\x01\x92
  s>     Hidentity
  s>     \r\n
  received frame(size=9; request=1; stream=2; streamflags=stream-begin; type=stream-settings; flags=eos)
  s>     13\r\n
  s>     \x0b\x00\x00\x01\x00\x02\x041
  s>     \xa1FstatusBok
  s>     \r\n
  received frame(size=11; request=1; stream=2; streamflags=encoded; type=command-response; flags=continuation)
  s>     b\r\n
  s>     \x03\x00\x00\x01\x00\x02\x041
  s>     B00
  s>     \r\n
  received frame(size=3; request=1; stream=2; streamflags=encoded; type=command-response; flags=continuation)
  s>     8\r\n
  s>     \x00\x00\x00\x01\x00\x02\x022
  s>     \r\n
  s>     49\r\n
  received frame(size=0; request=1; stream=2; streamflags=stream-end; type=command-response; flags=eos)
  s>     A\x00\x00\x03\x00\x04\x032
  s>     \xa2Eerror\xa2Dargs\x81GnothingGmessageUunknown revision \'%s\'FstatusEerror
  s>     \r\n
  received frame(size=65; request=3; stream=4; streamflags=stream-begin|stream-end; type=command-response; flags=eos)
  s>     11\r\n
  s>     \t\x00\x00\x05\x00\x06\x01\x92
  s>     Hidentity
  s>     \r\n
  received frame(size=9; request=5; stream=6; streamflags=stream-begin; type=stream-settings; flags=eos)
  s>     13\r\n
  s>     \x0b\x00\x00\x05\x00\x06\x041
  s>     \xa1FstatusBok
  s>     \r\n
  received frame(size=11; request=5; stream=6; streamflags=encoded; type=command-response; flags=continuation)
  s>     19\r\n
  s>     \x11\x00\x00\x05\x00\x06\x041
  s>     \xa1JpublishingDTrue
  s>     \r\n
  received frame(size=17; request=5; stream=6; streamflags=encoded; type=command-response; flags=continuation)
  s>     8\r\n
  s>     \x00\x00\x00\x05\x00\x06\x022
  s>     \r\n
  s>     0\r\n
  s>     \r\n
  received frame(size=0; request=5; stream=6; streamflags=stream-end; type=command-response; flags=eos)
  response #0: gen[
    b'00'
  ]
  response #1: error: unknown revision 'nothing'
  response #2: gen[
    {
      b'publishing': b'True'
    }
  ]

A compressed response, as wire frames and decoded

  $ send --content-encoding zlib << EOF | grep -v '^s>'
  > command lookup
  >     key 0
  > EOF
  creating http peer for wire protocol version 2
  sending lookup command
  received frame(size=5; request=1; stream=2; streamflags=stream-begin; type=stream-settings; flags=eos)
  received frame(size=11; request=1; stream=2; streamflags=; type=command-response; flags=continuation)
  received frame(size=30; request=1; stream=2; streamflags=encoded; type=command-response; flags=continuation)
  received frame(size=0; request=1; stream=2; streamflags=; type=command-response; flags=eos)
  response: gen[
    b'\xf7\xb1\xeb\x17\xad$s\n\x16Q\xfc\xcdF\xc48&\xd1\xbb\xc2\xac'
  ]

Requests that the script writes field by field: the handshake, and an API that
does not exist

  $ send << EOF | grep -v 'Date:'
  > httprequest GET ?cmd=capabilities
  >     X-HgUpgrade-1: exp-http-v2-0002
  >     X-HgProto-1: none
  > httprequest GET api/unknown
  >     user-agent: test
  > EOF
  creating http peer for wire protocol version 2
  using raw connection to peer
  s>     GET /?cmd=capabilities HTTP/1.1\r\n
  s>     Accept-Encoding: identity\r\n
  s>     X-HgUpgrade-1: exp-http-v2-0002\r\n
  s>     X-HgProto-1: none\r\n
  s>     host: $LOCALIP:$HGPORT\r\n (glob)
  s>     \r\n
  s> makefile('rb', None)
  s>     HTTP/1.1 200 Script output follows\r\n
  s>     Server: testing stub value\r\n
  s>     Vary: X-HgUpgrade-1, X-HgProto-1\r\n
  s>     Content-Type: application/mercurial-0.1\r\n
  s>     Content-Length: *\r\n (glob)
  s>     \r\n
  s>     batch branchmap * (glob)
  using raw connection to peer
  s>     GET /api/unknown HTTP/1.1\r\n
  s>     Accept-Encoding: identity\r\n
  s>     user-agent: test\r\n
  s>     host: $LOCALIP:$HGPORT\r\n (glob)
  s>     \r\n
  s> makefile('rb', None)
  s>     HTTP/1.1 404 Not Found\r\n
  s>     Server: testing stub value\r\n
  s>     Cache-Control: no-store\r\n
  s>     Content-Type: text/plain\r\n
  s>     Content-Length: 67\r\n
  s>     \r\n
  s>     Unknown API: unknown\n
  s>     Known APIs: exp-http-v2-0002, exp-http-v2-0003

Wire frames from a file

  $ printf '\014\000\000\001\000\001\001\021\241DnameEheads' > body
  $ send << EOF | sed -n '1,/200 OK/p'
  > httprequest POST api/exp-http-v2-0003/ro/heads
  >     accept: application/mercurial-exp-framing-0006
  >     content-type: application/mercurial-exp-framing-0006
  >     BODYFILE body
  > EOF
  creating http peer for wire protocol version 2
  using raw connection to peer
  s>     POST /api/exp-http-v2-0003/ro/heads HTTP/1.1\r\n
  s>     Accept-Encoding: identity\r\n
  s>     accept: application/mercurial-exp-framing-0006\r\n
  s>     content-type: application/mercurial-exp-framing-0006\r\n
  s>     content-length: 20\r\n
  s>     host: $LOCALIP:$HGPORT\r\n (glob)
  s>     \r\n
  s>     \x0c\x00\x00\x01\x00\x01\x01\x11\xa1DnameEheads
  s> makefile('rb', None)
  s>     HTTP/1.1 200 OK\r\n

Wire frames that the script describes: this one announces more, but none follow

  $ send << EOF | grep -v 'Date:'
  > httprequest POST api/exp-http-v2-0003/ro/heads
  >     accept: application/mercurial-exp-framing-0006
  >     content-type: application/mercurial-exp-framing-0006
  >     frame 1 1 stream-begin command-request new|more cbor:{b'name': b'heads'}
  > EOF
  creating http peer for wire protocol version 2
  using raw connection to peer
  s>     POST /api/exp-http-v2-0003/ro/heads HTTP/1.1\r\n
  s>     Accept-Encoding: identity\r\n
  s>     accept: application/mercurial-exp-framing-0006\r\n
  s>     content-type: application/mercurial-exp-framing-0006\r\n
  s>     content-length: 20\r\n
  s>     host: $LOCALIP:$HGPORT\r\n (glob)
  s>     \r\n
  s>     \x0c\x00\x00\x01\x00\x01\x01\x15\xa1DnameEheads
  s> makefile('rb', None)
  s>     HTTP/1.1 400 Bad Request\r\n
  s>     Server: testing stub value\r\n
  s>     Cache-Control: no-store\r\n
  s>     Content-Type: text/plain\r\n
  s>     Content-Length: 27\r\n
  s>     \r\n
  s>     data ends inside a request\n

Mistakes in options and scripts

  $ send --api exp-http-v2-0001 < /dev/null
  abort: unknown API: exp-http-v2-0001
  (known APIs: exp-http-v2-0002, exp-http-v2-0003)
  [10]
  $ send --content-encoding lzma < /dev/null
  abort: unknown encoding: lzma
  [10]
  $ hg debugwireprotov2 ssh://localhost/ < /dev/null
  abort: only http:// and https:// URLs are supported
  [10]
  $ hg debugwireprotov2 http://$LOCALIP:$HGPORT2/ << EOF
  > command heads
  > EOF
  creating http peer for wire protocol version 2
  sending heads command
  abort: cannot connect to $LOCALIP: * (glob)
  [255]
  $ for script in 'unknown' ' indented' 'batchsubmit' 'httprequest GET' \
  >     'batchbegin'; do
  >   echo "$script" | send -q
  > done
  abort: unknown action: unknown
  abort: indented line outside of a block
  abort: batchsubmit without batchbegin
  abort: invalid httprequest: expected "httprequest METHOD PATH"
  abort: batchbegin without batchsubmit
  [10]
  $ printf 'batchbegin\nbatchbegin\n' | send -q
  abort: nested batchbegin not allowed
  [10]
  $ printf 'command known\n nodes eval:[\n' | send -q
  abort: invalid value: eval:[
  [10]
  $ printf 'httprequest GET api\n frame 1 1\n' | send -q
  abort: invalid frame: 1 1
  [10]
  $ printf 'httprequest GET api\n nonsense\n' | send -q
  abort: unknown argument to httprequest: nonsense
  [10]
  $ echo 'command unknown' | send -q | tail -2
  abort: HTTP Error 404 Not Found
  s>     \r\n
  s>     unknown wire protocol command: unknown\n

  $ sed 's/.*HG error/HG error/' error.log
  HG error:  wireprotov2: $LOCALIP: bad request: data ends inside a request
