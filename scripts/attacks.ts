// oxlint-disable eslint/max-lines -- a table
/**
 * The attacks that are mounted by tests, each with what stops it. docs/attacks.md is made from this table
 * (`npm run attacks`). A test is named by its sentence; `…` stands for what the test fills in.
 */
export interface AttackGroup {
  /** Who attacks, or with what. */
  readonly by: string;
  readonly attacks: readonly Attack[];
}

export interface Attack {
  readonly attack: string;
  readonly defence: string;
  /** Names of tests. */
  readonly tests: readonly string[];
}

export const ATTACKS: readonly AttackGroup[] = [
  {
    by: 'A stranger without a stake',
    attacks: [
      {
        attack: 'presents a token hash read from public chain data, as header or bearer',
        defence: 'only a proof signed by the node key counts; the hash is a name',
        tests: [
          'the token hash as …',
          'the token hash that everybody can read on chain is no credential',
          'the public token hash',
          'a script that imports nothing of ours finds all of it, and is refused with what it should be',
        ],
      },
      {
        attack: 'presents other public ids, or nothing',
        defence: 'the same',
        tests: ['the token’s object id, its record’s id, nothing at all'],
      },
      {
        attack: 'presents public chain data as a token of k3s or Kubernetes',
        defence: 'nothing on chain is a Kubernetes secret',
        tests: ['none of it is a token of the k3s server or the Kubernetes API either'],
      },
      {
        attack: 'presents a mock token',
        defence:
          'no code path accepts one; mock mode works with the dev chain alone, and the same verifier runs there',
        tests: [
          '…, as header and as bearer',
          '… is refused on every route',
          'a mock token',
          'mock mode is the preset of the dev chain here, and is refused with any other',
        ],
      },
      {
        attack: 'replays a registration it has observed',
        defence: 'a challenge is valid once',
        tests: [
          'a registration is replayed',
          'a registration is accepted once',
          'of many at the same time exactly one is accepted',
          'two proofs over one challenge: exactly one is accepted',
        ],
      },
      {
        attack: 'replays a heartbeat',
        defence: 'incarnation and sequence only rise',
        tests: [
          'a heartbeat is replayed, with an equal and with a lower sequence, and after a new registration',
          'a heartbeat is accepted once, also of many at the same time',
          'a heartbeat with a lower number, or of an earlier incarnation, is refused',
        ],
      },
      {
        attack: 'replays after a restart of the gateway',
        defence: "proofs issued before the gateway's start are refused",
        tests: [
          'a proof of before the gateway’s start is refused: what was seen then is forgotten',
          'a proof from before the start of the gateway is refused: it could be a replay',
        ],
      },
      {
        attack: 'presents a proof elsewhere: another route, gateway, method or body',
        defence: 'the proof names all four',
        tests: [
          'a proof for one route is shown at another',
          'another gateway',
          'another method',
          'another body',
        ],
      },
      {
        attack: 'keeps a proof for later, or relies on a clock that is set back',
        defence: 'proofs live for a minute; challenges expire by a monotonic clock',
        tests: [
          'a proof that is …',
          'one that has expired',
          'a life of an hour',
          'a challenge ends when its time has passed, whatever the time of day says by then',
        ],
      },
      {
        attack: 'signs with algorithm `none`, with the public key as an HMAC secret, or as another type',
        defence: 'one algorithm, one type, no unknown header',
        tests: [
          'no algorithm, a public key taken for a secret, another type, a header nobody knows',
          'a header with … is refused',
          'claims with … are refused',
        ],
      },
      {
        attack: 'adds a second proof, or another node id in the body',
        defence: 'differing proofs are refused; body and proof must agree',
        tests: [
          'two proofs that differ, in the header and as a bearer; a body that names a third',
          'a body that names another node than the proof is refused',
        ],
      },
      {
        attack: 'changes a signed claim',
        defence: 'the signature covers the bytes as received',
        tests: ['does not hold when a claim is changed'],
      },
      {
        attack: 'a gateway runs something else than its cluster wants, or shows evidence of another machine',
        defence:
          'a worker that demands evidence sends nothing before it holds, bound to the TLS key of its connection',
        tests: [
          'nothing but the question for evidence is sent to a gateway whose evidence is refused',
          'a gateway whose evidence stops verifying is sent nothing more, over a kept connection neither',
          'behind one address, a machine with another key is sent nothing until it has shown evidence of its own: …',
          'a worker leaves the gateway that runs something else, and registers with the one whose evidence holds',
          'a worker that is told to attest registers nowhere when no evidence holds, and says why',
        ],
      },
      {
        attack: 'asks for challenges, to learn which names belong to the operator',
        defence: 'the answer does not depend on them, unless `gateway.admit.tellTakenNames` is set',
        tests: ['a challenge tells nobody which names are the operator’s'],
      },
      {
        attack: 'calls the Kubernetes API or the supervisor with no, a wrong or an expired credential',
        defence: 'both refuse',
        tests: [
          'nobody is let in without credentials, and a stranger’s certificate may do nothing',
          'a bootstrap token without the right usage, with a wrong secret or past its time is nobody',
          'the supervisor’s refusals have k3s’ codes and words',
        ],
      },
      {
        attack: 'connects without TLS, or with an old version',
        defence: 'TLS 1.3 only',
        tests: ['plain HTTP, and TLS older than 1.3'],
      },
    ],
  },
  {
    by: 'A staker, with a stake or a join credential',
    attacks: [
      {
        attack: 'asks for a node id that its key is not bound to',
        defence: 'the Seal token binds key, stake and node id; all three are compared',
        tests: [
          'a staker asks for the victim’s name with his own token and key',
          'a node id that the token is not bound to: said to the holder of the key',
          'a token bound to another node id',
        ],
      },
      {
        attack: "signs for another node's token with its own key",
        defence: 'the key must be the one in the token',
        tests: [
          'another node’s key signs for the victim’s token',
          'another key signs, and the victim’s public key is presented',
          'another node’s key does not open this one’s token',
        ],
      },
      {
        attack: "sends another node's heartbeat",
        defence: 'the same',
        tests: [
          'another node’s key sends the victim’s heartbeat',
          'a heartbeat signed by another key is refused',
        ],
      },
      {
        attack: 'uses a challenge issued for another node',
        defence: 'a challenge is bound to its node id',
        tests: ['a nonce that was given out for another node', 'the challenge of another node'],
      },
      {
        attack:
          'registers on a stake that is slashed, unbonding, withdrawn or too low, or on a revoked or replaced token',
        defence: 'the state on chain is checked each time; existence proves nothing',
        tests: ['a stake that is …', 'a slashed record', 'a record with a newer token'],
      },
      {
        attack: 'registers on an expired token',
        defence: "the chain's epoch decides",
        tests: ['a token that has expired', 'a token after its last epoch'],
      },
      {
        attack: "registers with a kubectl token made from a user's stake",
        defence: 'a worker needs a node stake',
        tests: ['a token for kubectl, made from a user’s stake', 'the stake of a user'],
      },
      {
        attack: 'stakes for a node id that is already staked',
        defence: 'the contract keeps one live record per node id',
        tests: [
          'a second staker for the same node id: the contract refuses him, and no coin moves',
          'a_node_id_is_taken_once',
        ],
      },
      {
        attack: 'stakes for the name of a Node or server that already exists',
        defence:
          '`gateway setup` reserves those names, and the gateway takes no name whose Node it did not admit',
        tests: [
          'the name of a server that was there before',
          'a stake does not take the name of a Node that was there before',
          'nor that of a server, which is reserved and may have no Node',
          '…, listed as …, can be neither taken, freed nor reserved for a stake',
        ],
      },
      {
        attack: 'takes the name of a deleted ordinary node, or of a server without a Node',
        defence:
          'the gateway reserves an ordinary name when its Node is deleted; `setup --reserve` reserves the others',
        tests: [
          'the name of an ordinary node that its administrator deleted, and of a server that has no Node',
          'an ordinary name is reserved as soon as its Node is deleted',
          'also when the Node went while the gateway was down',
          'an ordinary name asks for no taint, and lets nobody in when it is reserved',
        ],
      },
      {
        attack: 'is faster than the gateway at that name, or waits for one that the operator opened',
        defence:
          'the name is reserved all the same; an opened name closes after 15 minutes, or once its Node exists; a Node that came and went is in the audit',
        tests: [
          'a Node that comes and goes between two looks is found in the audit, and its name is closed',
          'also when somebody was faster than the gateway, who then stays out at the next attempt',
          'one that is expected stays open for 15 minutes, and is an ordinary one when its Node has come',
        ],
      },
      {
        attack: 'makes a Node appear under a reserved name, so that `setup` takes it for an ordinary one',
        defence: 'only `--ordinary` opens a reserved name',
        tests: [
          'a reserved name is opened by nothing but its own flag, also when a Node of that name is there',
        ],
      },
      {
        attack: 'takes the name of a worker whose stake has ended while its Node still runs',
        defence: 'a name is free once record and Node are gone',
        tests: ['another staker waits until the first one’s stake has ended and his Node is gone'],
      },
      {
        attack: 'goes on with its certificates after the slash, or with fresh ones from the supervisor',
        defence:
          'with the authorizer a certificate counts only while a live stake vouches for it; the answer is an allow-list',
        tests: [
          'a slashed worker’s certificates, fresh ones, its pods’ tokens and impersonation: refused at the next request',
          'certificates that a live stake vouches for pass, those minted at the supervisor do not',
          'a slash is refused at the webhook, and written for the servers, as soon as it is decided',
        ],
      },
      {
        attack:
          'claims a reserved name with its join credential, and keeps the certificate for after the slash',
        defence:
          'no agent runs under a reserved name that has no Node: the authorizer knows no certificate of it',
        tests: [
          'the operator’s names are not judged, but for a reserved one without a Node: any join credential gets its certificate',
          'knows no certificate of a reserved name without a Node, and every one of a Node of the operator’s',
        ],
      },
      {
        attack:
          'held a name, and waits for a restart of the gateway to read with the old certificate what the next holder may',
        defence:
          'a contested name has no grace after a start: a certificate that nobody has shown counts for nothing',
        tests: ['a certificate of a contested name counts only when it is vouched for, as at any other time'],
      },
      {
        attack:
          'reports the address of another Node, so that k3s sends it what is meant for that kubelet (exec, logs)',
        defence:
          'a policy: no staked node begins to report an address of the operator’s nodes, in any form; of another staked node it is open with the tunnels of k3s, and the audit file names it (security page)',
        tests: [
          'are none of the operator’s Nodes, wherever and however they are reported',
          'have one text each, so that no other one stands for an address of the operator’s',
          'gets nothing of it under the policies: a staked node reports no address of the operator’s nodes',
          'gets what the API server sends to the server’s kubelet, where no policy holds its addresses',
          'gets nothing of it where the server connects to kubelets itself',
          'writes down a worker that reports the address of another Node, also when it does so for a moment',
        ],
      },
      {
        attack: 'waits until the gateway hangs or is dead',
        defence:
          'the authorizer answers from a process of its own; banned names are refused by each server itself while nobody answers',
        tests: [
          'with the gateway hung (SIGSTOP) a slashed worker stays refused: the authorizer answers from its own process',
          'with the gateway dead the other authorizers decide, and banned names are refused all the same',
          'an authorizer that hangs is ended by the gateway, and refuses again',
        ],
      },
      {
        attack: 'fills the list of banned names, so that an API server no longer takes it',
        defence:
          'the names stand in expressions of bounded length; ten thousand are taken, and more leave the files as they are',
        tests: [
          'ten thousand banned names of full length are taken, refused, and cost others nothing to speak of',
          'more banned names than an API server takes are refused, and well-formed ones alone get into its expressions',
        ],
      },
      {
        attack: 'as the gateway’s user writes keys, names or links that root would make files of',
        defence:
          'the root helper takes certificates that fit their keys, names that Nodes can have and addresses, follows no link, and has no other input',
        tests: [
          'with a … of which an API server would not start, its files stay as they are',
          'nothing of the gateway’s text gets into a file of root’s but its certificates and keys, encoded anew',
          'follow no link that the gateway’s user has laid',
          'the helper reads nothing from …, and what is beside it',
        ],
      },
      {
        attack: 'impersonates with extras, and so shows the fingerprint of a certificate that is not there',
        defence:
          'the authorizer refuses the right to impersonate nodes and their credentials; `setup --check` names who has it',
        tests: ['who may impersonate with extras forges a fingerprint, and the check names them'],
      },
      {
        attack:
          'goes on reading an open watch, or asks k3s’ supervisor for fresh certificates, after the slash',
        defence:
          'the fence drops its packets in both directions and ends its sockets, by addresses that the kernel has seen',
        tests: [
          'ends the open watch of a banned node, keeps it out, counts what it drops, and touches nobody else',
          'keeps IPv6 peers out beside those of IPv4, whatever else the list has',
        ],
      },
      {
        attack: 'takes the list of bans away, or bans so many names that the servers follow no longer',
        defence:
          'a list that is missing is no empty one; the latest 10 000 names are written, and the rest is said',
        tests: [
          'a list of banned names that is missing lifts no ban: it is an empty one at the first setup alone',
          'of more banned names than a server takes the latest are written, whose certificates live longest',
        ],
      },
      {
        attack: 'has the operator fence an honest node, or one of the operator’s, by sharing its address',
        defence:
          'an address that an admitted node, an ordinary Node or a server has too is left open; audit file and `gateway fence` say so',
        tests: [
          'leaves open what a Node of the operator’s, the gateway or a server has too, and says who',
          'an address that an admitted node connects from too is left open, also when that node comes later',
          'spares the machine itself and what the operator names',
        ],
      },
      {
        attack: 'holds every place of the authorizer’s listener with connections that shake no hands',
        defence: 'a new connection displaces the oldest of them; that of the API server is never displaced',
        tests: [
          'answers the API server beside a crowd of connections that shake no hands, and keeps its connection',
        ],
      },
      {
        attack:
          'with a real k3s uses its certificates, fresh ones, a pod’s token and impersonation after a slash',
        defence:
          'refused at the next request, with the gateway up and hung; dead: by name, as the security page says',
        tests: ['what a slashed worker has is refused at the next request: gateway up, hung and dead'],
      },
      {
        attack: 'brings a Node that is vouched for by nobody, so that the operator cannot enforce any longer',
        defence: 'enforcing is remembered: what comes later does not end it',
        tests: [
          'does not enforce before every Ready Node is vouched for, says which is not, and does not fall back later',
        ],
      },
      {
        attack: 'gets an expression into the API server’s configuration by the name of a node',
        defence: 'only node ids get into it',
        tests: ['refuse banned names although nobody answers, and take no expression for a name'],
      },
      {
        attack:
          'claims the names of others, thousands in minutes, to hold certificates of them when they join',
        defence:
          'a claimed name is written down and closed to stakes that come later; the third claim while a credential lives revokes all that live',
        tests: [
          'is written down with the credentials that lived, shown, and closed to stakes that come later',
          'the third while a credential lives revokes all that live; honest workers get another and join',
          '5 000 names claimed with one credential: all are closed, and staked workers still join',
          'is found at the start of the gateway, however it was claimed before',
          'is written down and not closed where certificates count only when vouched for: the claim’s counts for nothing',
        ],
      },
      {
        attack: 'claims a name to close it to the staker who holds it',
        defence: 'a name on which a stake stood before the claim is contested, not closed',
        tests: ['is not closed to the stake that stood before: it is contested'],
      },
      {
        attack: 'uses its join credential for a name that is not admitted',
        defence: 'k3s issues a certificate; the policy refuses the Node',
        tests: [
          'a join credential used for a name that is not admitted: k3s gives a certificate, Kubernetes no Node',
          'a credential used for a name that is not admitted yields a certificate, as k3s gives it, and no Node',
          'a kubelet certificate alone makes no Node',
        ],
      },
      {
        attack: "uses it for another staker's admitted name",
        defence: 'the node password is reserved before the name is admitted',
        tests: [
          'a join credential used for an admitted name of somebody else: the supervisor refuses it',
          'the admitted name of somebody else is refused',
        ],
      },
      {
        attack: 'uses it between two steps of that admission, also when the gateway is killed there',
        defence: 'the order of the steps; a half-done admission is undone',
        tests: [
          'a credential used for somebody else’s name is refused, or yields no Node, between any two steps of an admission',
          'killed before its first step',
          'killed when … is done, before it is told',
          'killed just before … leaves nothing that anybody could use',
          'killed just after … leaves nothing that anybody could use',
        ],
      },
      {
        attack: 'waits until a node password is replaced',
        defence: 'the name is off the list before the old password is removed',
        tests: [
          'an admitted name is taken off the list before its old password goes',
          'of a worker that comes back is as closed to others as its first',
        ],
      },
      {
        attack: 'creates a Node with the join credential itself',
        defence: 'a bootstrap token may neither read nor create Nodes',
        tests: [
          'a join credential makes no Node, admitted or not',
          'a bootstrap token is an identity that may neither see nor make a Node',
        ],
      },
      {
        attack: 'creates a Node before its certificate was shown, of another name, or without its taint',
        defence: 'the Node policy',
        tests: [
          'a worker’s own certificate creates a Node before it was shown, of another name, or without its taint',
          'an admitted name makes its Node with the taint of its tier, and with nothing less',
        ],
      },
      {
        attack: 'creates a Node whose name begins like an admitted one',
        defence: 'names are compared as a whole',
        tests: ['a random kubelet that shares a prefix with an admitted name gets nothing'],
      },
      {
        attack: 'creates a Node with the identities that all agents share, or with a ServiceAccount',
        defence: 'the policy covers every identity but `system:masters`',
        tests: [
          'another identity with a role that makes Nodes makes none, listed or not',
          'the identities that agents share are given to whoever may join, and make no Node',
        ],
      },
      {
        attack:
          'changes another Node with the shared identities: NotReady, labels, taints, finalizers, addresses',
        defence: "a policy leaves them flannel's six annotations and `NetworkUnavailable=False`",
        tests: [
          'the identities that all agents share change nothing of a Node but what flannel writes',
          'they move no condition by its place in the list, and make and delete no Node',
          'kube-proxy writes no Node, not even what flannel may',
        ],
      },
      {
        attack: "uses them to become the next hop of another Node's pods",
        defence: "flannel's public address must be one that the Node's own kubelet has reported",
        tests: [
          'who holds them does not become the next hop of another Node’s pods',
          'an agent that returns with a new address gets its network when its kubelet has named it',
        ],
      },
      {
        attack: "registers a Node with another Node's pod addresses, to receive its traffic",
        defence: 'a kubelet cannot choose its pod CIDR',
        tests: [
          'a kubelet makes its Node without finalizers, owners and pod addresses of its choice',
          'a kubelet takes no range of pod addresses, and does not end the cordon of a staked node',
        ],
      },
      {
        attack: 'keeps a Node in the cluster by a finalizer or an owner reference',
        defence: 'a kubelet cannot set either',
        tests: ['a kubelet keeps its Node in the cluster by no finalizer and no owner, and takes none away'],
      },
      {
        attack: "removes the operator's cordon of a staked Node",
        defence: 'the kubelet of a staked Node cannot',
        tests: ['a kubelet takes no range of pod addresses, and does not end the cordon of a staked node'],
      },
      {
        attack: "brings the gateway's mark along, or changes mark and taints later",
        defence: 'the policies on creation and on update',
        tests: [
          'nobody brings the gateway’s mark along',
          'no identity that workers hold changes our mark or our taints',
        ],
      },
      {
        attack:
          'steals a node key and asks for credentials again and again, also after the gateway was killed or lost its store',
        defence: "the API server's view of the kubelet decides: Ready condition, Lease",
        tests: [
          'even twice in a row gets none: a stolen key must not open the door by asking twice',
          'while its Node is there and was heard lately gets no credential, and keeps its Node',
          'gets none from a gateway that was killed and has forgotten every heartbeat',
          'gets none from a gateway whose store was lost, while its Node is heard',
        ],
      },
      {
        attack: 'steals a node key, registers, sends heartbeats, and waits for a reboot of the machine',
        defence:
          'the boot id that the kubelet reports decides who is served; while two use the key, the key alone brings no credential',
        tests: [
          'registers, heartbeats and waits for a reboot: the node is served before, and after it; the thief gets nothing',
          'gains nothing by not saying where it is',
          'does not keep the host of the node from being restarted while registrations are frozen',
          'cannot forge a proof of an earlier registration that would stop the node',
          'does not outlive a restart of the gateway: the freeze is stored',
          'is out when the token is rotated, and the freeze with it',
        ],
      },
      {
        attack:
          'keeps a rebooted machine out with the stolen node key: registers without end, names the boot of the Node, shows certificates',
        defence:
          'the kubelet’s client key signs the registration too, is accepted at once, and has a budget of its own; nothing less counts from then on',
        tests: [
          'after a reboot it is served at once, shows its new certificates, and is never refused; the thief gets nothing',
          'it is not slowed down by a thief that registers as often as it can',
          'a thief that is served while the machine reboots, because it names the boot of the Node, is out when the host is back',
          'gains nothing by a kubelet certificate without its key, or by a key that no stake vouches for',
          'says nothing about which certificates count',
          'a thief of the node key registers, heartbeats and waits for a reboot: the node is never refused or stopped',
        ],
      },
      {
        attack: 'runs a copy of a worker: state directory, snapshot, second process',
        defence: 'proofs say machine, boot and process; the copy is refused, and both are told',
        tests: [
          'a copied state directory on another machine never registers while the Node is Ready elsewhere, and both are told within two heartbeats',
          'a restored snapshot, of another boot: the one whose boot the Ready Node has is served, the other is refused',
          'a double start on one machine: the first process is served, the second refused',
          'a host on a copied state directory ends before it touches the agent of the first',
        ],
      },
      {
        attack: 'copies the disk of a node whose key its TPM seals to another machine',
        defence:
          'the TPM of that machine does not open the key, and evidence of the record comes from its own TPM',
        tests: [
          'its disk in another machine opens no key and registers nothing',
          'another TPM does not open it',
          'the policy of its registers cannot be gone round by an empty password',
        ],
      },
      {
        attack:
          'registers with a stolen node key and the evidence of another machine, or evidence that was made before',
        defence:
          'where evidence is required, it is bound to node key, node id, gateway, chain and challenge, and a stake record to its first TPM',
        tests: [
          'a thief who has got the key itself registers nothing with another TPM, though the policy knows that TPM',
          'a copy of the disk in another machine has another TPM, and is refused, whether the policy names that one or not',
          'evidence that was made for another … is refused',
          'a stake record stays bound to its first TPM over refusals and restarts, until the operator releases the name',
        ],
      },
      {
        attack: 'uses a stolen node key after its Seal token was rotated',
        defence: 'the chain names the new key, and the registration with it ends every earlier one',
        tests: ['a stolen node key gives access until its token is rotated, and none from then on'],
      },
      {
        attack: 'asks hosts through a gateway for rotations and top-ups, to spend their money',
        defence:
          'a directive spends what the operator allows within 30 days, by default nothing; the chain says what is missing',
        tests: [
          'by default a directive spends nothing: the operator is asked',
          'a directive to rotate is followed as often as the operator allows, over restarts',
          'a directive to top up adds what the chain says is missing, within the allowance and under accepted terms',
        ],
      },
      {
        attack: 'asks a gateway to let another node leave, so that its pods and its Node are removed',
        defence:
          'a leave is signed with the node key over a fresh challenge, and by the machine that runs the node',
        tests: [
          'with another node key does not take a node out',
          'with a stake of their own does not take another node out',
          'with the stolen node key on another machine does not take the node out, whether its Node is Ready or silent',
          'who replays the proof of a leave does nothing',
        ],
      },
      {
        attack: "steals a node key and reports the agent as down, so that the victim's Node is deleted",
        defence: "the same; the caller's claim counts for nothing",
        tests: [
          'gets none by saying that its agent is down, while the API server hears the kubelet',
          'gets none while its Lease is renewed, though the cluster has not heard its status yet',
        ],
      },
      {
        attack: 'registers one node over and over with new passwords, to keep others from being admitted',
        defence:
          'one registration of a node at a time, one waiting, counted before the places for admissions',
        tests: [
          'do not take the places of others, however many wait',
          'many times at once is admitted one after the other, one waits, and the rest come back later',
        ],
      },
      {
        attack: 'fills the queue of admissions with registrations whose connections it closes',
        defence: 'a queued registration ends with its connection',
        tests: ['that wait end with the connection of their caller, and leave no trace'],
      },
      {
        attack: 'registers more nodes than the operator admits, all at once',
        defence: 'the limit is counted under a lock',
        tests: ['no more than so many, also when they come at the same moment'],
      },
      {
        attack: 'removes the list of names, or weakens a policy',
        defence: 'without the list no Node is created; the state reports it until `setup` has repaired it',
        tests: [
          'without its namespace a name makes no Node, and the others go on',
          'mends a policy that somebody weakened, and until then the state says so',
          'anything that would weaken a policy makes it another one',
        ],
      },
    ],
  },
  {
    by: 'A slashed or evicted worker',
    attacks: [
      {
        attack: 'comes back with its certificate, node key, token or wallet',
        defence: 'the name is off the list, the credential revoked, key and wallet banned',
        tests: [
          'a slashed worker’s old certificate, node key, token and wallet bring nothing back',
          'after a slash the node’s own certificate cannot bring its Node back',
          'joins when it is admitted, is evicted, and cannot come back by any of its old means',
        ],
      },
      {
        attack: 'keeps its certificate, leaves, and takes the name over when the next staker has it',
        defence:
          'a Node is made with a certificate that the present holder has shown, and with no other; on a name that had an earlier holder every write asks for one',
        tests: [
          'the certificate of an earlier holder takes the name over at no moment',
          'a Node is made with the certificate that its worker has shown, and with no other of that name',
          'on a contested name every write waits until the gateway has been shown the new certificate',
          'after another holder, also with the same wallet and a new stake: its certificate does nothing',
          'before Kubernetes 1.32 a name stays with its last staker and key, and the operator’s release frees it',
        ],
      },
      {
        attack: 'shows a certificate of another node, of another authority or with other rights',
        defence: 'chain, use and the whole subject are examined, and what another node has shown is refused',
        tests: [
          'it is refused to another node, to a name that is not admitted, and to who has not the node’s key',
          'a certificate … is refused',
          'one of another authority is refused, also if that authority has the same name',
          'an authority below the cluster’s counts if it is shown beside, a leaf in its place does not',
        ],
      },
      {
        attack: 'writes pods, events, its Lease or its Node with a certificate that it has kept',
        defence: 'a name that is not listed writes nothing, whether the gateway runs or not',
        tests: [
          'a name that is not listed writes nothing, whatever certificate it has',
          'it ends with the membership: by slash, eviction and leave, and never because the worker is silent',
        ],
      },
      {
        attack: 'stays in the cluster by a finalizer on its own Node',
        defence: 'the policy keeps kubelets from setting one; an eviction takes foreign ones off',
        tests: [
          'finalizers that are not k3s’ own are taken off a Node that must go, and named',
          'a kubelet keeps its Node in the cluster by no finalizer and no owner, and takes none away',
        ],
      },
      {
        attack: 'joins with old certificates beside a credential obtained from somebody else',
        defence: "k3s asks for the certificate's Node first",
        tests: ['old certificates beside a fresh credential are refused once the Node is gone'],
      },
      {
        attack: 'comes back in another way, or while the gateway is away',
        defence: 'a Node of a name that is not admitted is evicted whenever it is seen',
        tests: [
          'is repeated when the Node comes back by whatever way',
          'finds a Node that came back while nobody watched',
        ],
      },
      {
        attack: 'causes a failure or a crash in the middle of its eviction',
        defence: 'each step is repeated until it is done, also after a restart',
        tests: [
          'that fails at … is tried again until it is done',
          'that is killed before … is gone on with at the next start',
        ],
      },
      {
        attack: 'keeps its Node by a finalizer',
        defence: 'the Node counts as gone only when it is gone',
        tests: ['a Node that somebody holds by a finalizer is not said to be gone before it is'],
      },
      {
        attack: 'keeps its pods by a disruption budget or a dead kubelet',
        defence: 'they are deleted without grace',
        tests: ['pods are evicted, and what a budget or a dead kubelet holds back is deleted without grace'],
      },
      {
        attack: 'is slashed while the gateway is away',
        defence: 'the gateway reads every record at its start',
        tests: ['what happened while the gateway was away is found at its start'],
      },
      {
        attack: 'stakes anew under another name',
        defence: 'the staker is banned as well, across restarts',
        tests: [
          'takes node id, key and the staker’s new names, and leaves his other nodes',
          'holds after a restart',
        ],
      },
      {
        attack: 'restarts its host, or damages the latch',
        defence: 'the latch holds until another good record exists',
        tests: [
          'slashed: latch, agent and pods gone, exit 77; a restart is refused until another record stands',
          'a latch holds while the chain does not answer, and when its file is damaged',
          'a worker stakes, mints, registers and heartbeats; slashed on chain it locks itself out for good',
        ],
      },
      {
        attack: 'kills its host during the lock-out',
        defence: 'the next start completes it',
        tests: [
          'a host killed while it locked itself out finishes that at its next start',
          'a latched host that was killed before it forgot its join does not start on old certificates while the chain is silent',
        ],
      },
      {
        attack: 'is slashed or banned while its host is down, then starts it on the certificates it has',
        defence:
          'the agent stops for good with the first answer of chain or gateway; with a latch it does not start',
        tests: [
          'an agent that started on its certificates is stopped for good when its stake turns out to have ended',
        ],
      },
      {
        attack: 'copies its state directory to another machine, to run there before the gateway can object',
        defence: "the copy waits for the gateway's answer",
        tests: [
          'a state directory that was copied to another machine starts no agent before the gateway has answered',
          'a copied disk in other hardware is another machine',
        ],
      },
      {
        attack: "leaves compiled code for root's next start",
        defence: 'the cache is beside the program and belongs to its user alone',
        tests: [
          'a cache that others could have written into, or led elsewhere, is not used: its code would run',
        ],
      },
      {
        attack: 'has somebody else stake under its name, to lift the latch',
        defence: 'only its own record lifts it',
        tests: ['a record that a stranger staked under the name does not lift the latch'],
      },
      {
        attack: 'fills the disk, so that the latch cannot be written',
        defence: 'the agent stops all the same',
        tests: ['a disk that refuses the latch does not keep the agent alive'],
      },
      {
        attack: "is stopped for good, but k3s or its pods run on, or other people's containers die",
        defence: "processes are identified by pid with start time, and by this k3s' containerd",
        tests: [
          'a stop for good kills this k3s, its pods and its credential, and nobody else',
          'a stop for good works in a later life of the host, too, and twice',
          'an agent that ignores SIGTERM is killed at the deadline, its pods are not',
          'a host that is killed leaves an agent that dies at its next line or is stopped by the next host; pods live on',
          'a shim of … is nobody of ours',
          'a process that has ended gets no signal: its pid may be somebody else’s',
        ],
      },
    ],
  },
  {
    by: 'Another chain, package or cluster',
    attacks: [
      {
        attack: 'presents a token of another copy of the package',
        defence: 'a type is compared with its package id',
        tests: [
          'a look-alike token of another copy of the package',
          '… is nothing',
          'does not exist: records and tokens of another cluster, another package, other objects, nothing',
        ],
      },
      {
        attack: 'presents a token of its own cluster in the same package',
        defence: 'the token names its cluster',
        tests: [
          'a token of a cluster that the attacker made himself in the same package',
          'a token of another cluster',
          'a_token_is_valid_for_its_own_record_and_cluster_alone',
        ],
      },
      {
        attack: 'answers for the chain on the way to a plain `http://` endpoint',
        defence: 'plain endpoints are refused beyond loopback, unless allowed by name',
        tests: [
          '… is refused, and the sentence names the setting that allows it',
          'http:// to another machine is refused from …, unless it is allowed',
        ],
      },
      {
        attack: 'is a proxy on the way, and intercepts TLS',
        defence: 'pin and certificate are checked against the server behind CONNECT',
        tests: [
          'a proxy that opens the TLS itself gets not one request',
          'a certificate that the proxy shows in place of the node’s is refused',
        ],
      },
      {
        attack: "redirects calls to a full node, to obtain the provider's API key",
        defence: 'redirects are not followed',
        tests: ['a redirect is not followed, and where it leads is told'],
      },
      {
        attack: 'leads the host to another chain',
        defence: 'the chain id is configured, and every answer must carry it',
        tests: [
          'a full node of another chain than the configuration names',
          'is a configuration error that names both chains, and no other endpoint is asked',
          'is noticed at the next reply when it comes up behind the same address',
        ],
      },
      {
        attack: 'hands out a deployment file whose objects are something else',
        defence: 'package and cluster are read and verified as a whole',
        tests: [
          'a package that is not the build is named module by module',
          'with another object as cluster says what that is',
        ],
      },
      {
        attack: 'starts a gateway that the chain does not know',
        defence: 'id and key are compared with the chain at start',
        tests: ['a gateway that the chain does not know, or knows by another key, does not start'],
      },
    ],
  },
  {
    by: 'A full node, gateway or network that lies',
    attacks: [
      {
        attack: "a full node forges a slash, a stake, a token's key or the cluster's gateways",
        defence: "with a trust pin, data counts only when Sui's validators signed it",
        tests: [
          'evicts no node for a slash that its only full node forges',
          'admits no stake that its only full node invents',
          'cannot show a slash that did not happen: the record counts as it was proven, or as unread',
          'cannot show a stake that was never made',
          'cannot show another key in a token',
          'cannot lead a worker to a gateway that the cluster does not name',
        ],
      },
      {
        attack: "a full node serves a genuine object under another id, such as another operator's cluster",
        defence: 'with a trust pin, an object counts only under its own id',
        tests: ['a genuine object that is served under the id of another one counts as unread, and is named'],
      },
      {
        attack: 'full nodes hide a slash, a stake or the newest cluster behind fresh checkpoints',
        defence: 'the highest proven version of all endpoints counts, and anybody may bring a proof',
        tests: [
          'is enough to see a slash that the others hide',
          'shows a slash that no ring names any more, whichever is asked first',
          'is enough for a start: the first reading already shows the newest cluster',
          'shows a stake that the others say is not there',
          'a record from before a change that the cluster names counts as not read where nobody shows the newer one',
          'a proof that anybody brings shows what the only full node hides, and one of another package is not kept',
        ],
      },
      {
        attack: 'the only full node hides a slash or the newest cluster from a gateway that pays for probes',
        defence:
          'the effects of the probe, which the validators signed, name the newest versions; older ones count as not read, and an alarm says so',
        tests: [
          'a slash that the only full node hides behind fresh tips is seen by the next probe',
          'what a probe has seen and nobody shows counts as not read, and an alarm names it',
          'a full node that keeps the probe to itself is named by an alarm, and what was known stays',
          'asks for a probe before it admits by an old token, and admits once the probe shows nothing newer',
          'evicts a node for a slash that its only full node hides, once it pays for a probe',
        ],
      },
      {
        attack: 'a full node hides a stake for kubectl that was just paid, so that it is paid again',
        defence: 'a stake that the journal has paid for has to be shown before another is paid',
        tests: ['is not paid again, for another key neither, and is found once it is shown'],
      },
      {
        attack: 'strangers make a gateway pay for probes, again and again',
        defence:
          'those who ask at once share one; they are bounded a day, in number and in SUI, apart from the others',
        tests: [
          'are no more than 144 a day, however often somebody asks',
          'do not delay those at an interval',
          'never cost more than half a SUI a day, whatever one costs',
          'spends no more than half a SUI a day all the same',
        ],
      },
      {
        attack: 'the only full node hides a slash, and the slashed worker comes with its old token',
        defence: 'alone it is believed only a stake that changed within 15 minutes; else two have to agree',
        tests: [
          'does not admit the worker whose slash it hides, by the old token; the honest ones of two show the slash',
          'what the only full node hides behind has the time at which it was signed, and does not become newer',
        ],
      },
      {
        attack:
          'stakes under a node’s name in a cluster of their own, of the same package, and brings the proof',
        defence: 'proofs of another cluster are not kept, and none is shown for a node of ours',
        tests: [
          'a proof of another cluster of the same package is not kept: it would crowd out the own ones',
          'shows the newest stake of a node in this cluster, whatever a stranger has staked under its name in another',
        ],
      },
      {
        attack: 'strangers keep the gateway busy with proofs',
        defence: 'two verifications a second for all together, before a body is read',
        tests: ['one address, and all together, may cost so many verifications; a body is not read before'],
      },
      {
        attack:
          'full nodes lie by chance: forged slashes, stakes, tokens and gateways, replays, foreign validators, gaps',
        defence: 'nothing counts that is not proven; one honest endpoint of three shows what is new',
        tests: [
          'random schedules of lies evict nobody wrongly, admit no stake that never was, and lead to no foreign gateway',
          'a node of the pool that withholds a step keeps nobody from the proof of a node that has it',
          'a full node whose validators are others, or that skips an epoch, proves nothing',
        ],
      },
      {
        attack: 'another server takes the place of the cluster’s between two starts of an agent',
        defence: 'the server of the last checked credential is checked before each start',
        tests: [
          'before each start of k3s, one after a crash too, its server is checked; a refusal starts nothing',
          'is refused where the server has another CA, or one that the machine trusts',
        ],
      },
      {
        attack: 'former validators, or a full node with their keys, show another history',
        defence:
          'trust ends after 14 days without a recent pin, which the way of committees must lead through',
        tests: [
          'for longer is refused without a recent pin, even for what the old committee signed',
          'another history that former validators have signed does not lead through the recent pin',
        ],
      },
      {
        attack: 'a third of the voting power signs two histories',
        defence: 'two signed checkpoints of one height stop every decision',
        tests: ['two signed checkpoints of one height stop everything, after a restart too'],
      },
      {
        attack: 'a full node replays the state before a slash',
        defence: 'with a trust pin, no version older than a proven one counts',
        tests: ['cannot take a slash back by serving what was before it'],
      },
      {
        attack: 'a full node signs with validators of its own',
        defence: 'the committee is followed from the pin, epoch by epoch',
        tests: [
          'cannot sign for the chain: with other validators all it serves is unread',
          'skip no epoch, and take no step that the committee did not sign',
          'of another committee of the same epoch is refused',
        ],
      },
      {
        attack: 'a full node reports many stakes as bad',
        defence: 'the breaker stops a mass eviction, and protects the held workers from a ban',
        tests: [
          'stops a mass eviction: the fourth of five stays, is not told to stop, and is not banned',
          'counts what stakers are said to have signed themselves too, since one liar could have said it',
        ],
      },
      {
        attack: 'registers four times without a machine, and unstakes, to trip the breaker',
        defence:
          'a worker whose Node has never been Ready counts for nothing, and the breaker holds no admission',
        tests: ['four registrations without machines that unstake trip nothing'],
      },
      {
        attack: 'unstakes many nodes at once, to trip the breaker',
        defence: 'one staker counts once; with a trust pin an act of the staker does not count',
        tests: [
          'one staker with many machines counts once',
          '… of eight stakers are carried out: validators have signed them',
        ],
      },
      {
        attack: 'forces every stake into unbonding with a stolen admin key',
        defence: 'forced unstakes count for the breaker, also when they are proven',
        tests: [
          'unstakes that the admin forces trip it at the fourth; a proven slash goes on, and so do admissions',
          'an unstake whose author has fallen out of the rings counts as forced',
        ],
      },
      {
        attack: 'a full node reports impossible facts',
        defence: 'they are never evidence of guilt',
        tests: ['readings that cannot be true are nobody’s guilt'],
      },
      {
        attack: 'a full node does not answer',
        defence: 'unknown facts evict nobody and admit nobody',
        tests: [
          'silence is never guilt: whatever is unknown, for however long, evicts nobody',
          'nobody new is admitted, and who was admitted registers again on facts that are not too old',
          'a chain that is away for hours is no guilt and no failing task; it degrades the host until it answers',
        ],
      },
      {
        attack: 'a full node lags, or answers with old state',
        defence: 'older readings are skipped; a bad reading is confirmed by a second',
        tests: [
          'an answer from a node that lags is passed over and forgets nothing',
          'a reading that was under way when the change was announced is not believed',
          'readings of before the token was minted, from an endpoint that is behind, are no revocation',
          'a record that an endpoint does not have is not a verdict',
        ],
      },
      {
        attack: 'a full node hides a record, so that the host stakes again',
        defence: "the journal's record is never made a second time",
        tests: [
          'a record that this machine made and the endpoint does not have is no reason to stake again',
          'are not replaced while nobody can say what became of them',
        ],
      },
      {
        attack: 'a gateway refuses heartbeats, and the host counts them as sent',
        defence: 'the HTTP status decides: a 401 degrades the host and registers again',
        tests: [
          'a 401 is a failure, not an answer: the host registers again after the second',
          '… is not a gateway’s answer',
        ],
      },
      {
        attack: 'a gateway announces changes of a stake that did not happen, or keeps silent about a slash',
        defence:
          'a host reads the chain after an announcement and acts on that alone; without one it reads every 15 s at the latest',
        tests: [
          'a gateway that announces a slash which the chain does not show ends nothing',
          'a gateway that keeps silent about a slash delays it by no more than a quarter of a minute',
        ],
      },
      {
        attack: 'a gateway says “stop, slashed” about a good stake',
        defence: 'the host asks the chain',
        tests: ['stop for a slash is followed only when the chain says so too'],
      },
      {
        attack: 'a gateway demands heartbeats at an unbearable rate',
        defence: 'the interval is bounded',
        tests: ['a gateway that asks for heartbeats … gets them at a bearable pace'],
      },
      {
        attack: 'an interceptor sits between host and gateway',
        defence: 'the TLS key is pinned on chain',
        tests: [
          'not one byte to a gateway with another TLS key than the chain names',
          'never without TLS (…)',
          'the configured gateway is asked first, and must be one that the chain names',
        ],
      },
      {
        attack: 'an interceptor sits between agent and server',
        defence: "the credential carries the hash of the server's CA",
        tests: ['a server whose CA is another one is not joined'],
      },
    ],
  },
  {
    by: 'A flood',
    attacks: [
      {
        attack: 'bodies of 10 MB',
        defence: 'the declared length is checked before the body is read',
        tests: [
          'a body of 10 MB',
          'a body of 10 MB whose length is not announced',
          'a body of 10 MB is refused without being read, and the gateway goes on',
        ],
      },
      {
        attack: 'random bytes',
        defence: 'every input is parsed by a schema; parsing never throws',
        tests: [
          'garbage: as a header, as a body, as bytes on the wire',
          'whatever is sent, parsing answers and never throws',
          'headers of 16 KiB are refused',
        ],
      },
      {
        attack: 'requests from one address',
        defence: 'a rate limit per address',
        tests: [
          'one address is held to its rate',
          'one address that sends without end leaves room for the others',
        ],
      },
      {
        attack:
          'connections that are never used or ended: silent, half closed, slow in handshake, headers, body or reading, `CONNECT`, `Upgrade`, `Expect`',
        defence: 'each is tracked from its accept on, below TLS, and reset at a deadline',
        tests: [
          'no way to hold a connection open outlasts its deadline, by the kernel’s count and with the peer still there',
          '130 silent connections of one address that are closed after 7 s leave nothing behind, and the address is served',
        ],
      },
      {
        attack: 'so many silent connections that workers get none',
        defence: "workers' connections are counted apart; the address with the most loses its oldest",
        tests: [
          '34 addresses with 128 silent connections each, half closed ones among them, keep nobody out',
          'when there are too many, the address that has the most loses its oldest',
          'what has an owner is displaced by nobody but its owner',
        ],
      },
      {
        attack: 'slow bodies, until no request is accepted',
        defence: 'a request takes a place when its body is complete, and an address no more than its share',
        tests: [
          'slow bodies of five addresses take the port away from nobody',
          'a request whose body is on its way takes nobody’s place',
          'one asker gets no more than its share, and what is given back can be taken again',
        ],
      },
      {
        attack: 'endless TLS handshakes, or costly key exchanges',
        defence: 'two key exchanges; a budget per address and for all strangers, taken before the handshake',
        tests: [
          'only the key exchanges that every client has are done',
          'one address that shakes hands without end is cut off, and the worker and the newcomer are served',
          'handshakes of one address beyond its budget are not begun',
          'addresses that spend the handshakes of all strangers leave those of an address that is new',
        ],
      },
      {
        attack: 'connections behind HAProxy that name another address, or none',
        defence:
          'HAProxy writes the header, and only its group can connect to the socket; a connection that begins with anything else is closed',
        tests: [
          'a stranger who reaches the socket itself is held to the header: no request is made of anything else',
          '… is no header',
          'whatever comes first, the header is settled within 536 bytes, and names two addresses if it counts',
          'a connection that says nothing is closed at the deadline',
          'of those that wait for their header the oldest gives way',
          'the group of a directory with the setgid bit may connect to the proxy’s socket',
          'each address has the budgets of its own, and what is written down names the worker’s',
        ],
      },
      {
        attack: 'the port for operators on other machines, without a certificate that counts',
        defence:
          'TLS takes certificates of one authority, which signs only these; each has to be on a list that is read for each request',
        tests: [
          'of none at all',
          'of another authority of the same name, on the list with its serial number',
          'that has expired',
          'of the gateway itself, which is a server’s',
          'of a node of the cluster',
          'signed by an operator with their own',
          'that is revoked, at once',
          'a revoked certificate displaces no connection of the one that took its place',
          'an operator who may only view fills neither audit file nor log with refusals, and is slowed down',
          'that the authority has signed and nobody has listed',
          'a worker’s proof opens nothing, with or without a certificate, and this port has none of its routes',
          'connections that never shake hands, or show no certificate, keep no operator out and outlast no stop',
        ],
      },
      {
        attack: 'a certificate to view, for a command',
        defence: 'a table names the role of every route; a route without one is closed',
        tests: [
          'every route has a role, and with `view` nothing is written, however the path is spelled',
          'to view, whose entry on the list was changed',
          'a route that is not in the table nobody may call',
        ],
      },
      {
        attack: 'connections that keep a gateway from stopping',
        defence: 'every stop has a deadline',
        tests: ['a gateway that is told to stop while hundreds of connections hang ends within its deadline'],
      },
      {
        attack: 'requests from so many addresses that memory runs out',
        defence: 'every table is bounded; an IPv6 /64 counts as one address',
        tests: [
          'memory is bounded: the keys longest unused are forgotten',
          '… counts as …',
          'a full gate refuses before it grows',
        ],
      },
      {
        attack: 'requests that never end',
        defence: 'they are cut off',
        tests: ['headers that do not come to an end are cut off, long before node would by itself'],
      },
      {
        attack: 'invented tokens, to make the gateway flood its full node',
        defence: 'a budget of chain reads per address, and one for all strangers',
        tests: [
          'strangers with tokens of their own invention cost the chain no more than their budget',
          'strangers of many addresses share one budget of chain reads',
          'many questions about one token at once are one question to the chain',
        ],
      },
      {
        attack: 'refused proofs, to fill the disk with audit lines',
        defence: 'refusals are aggregated per kind and minute, kinds are bounded, audit files are rotated',
        tests: [
          'the first refusal of a kind is a line of its own, the rest of its minute one more',
          'ten thousand addresses cost no more lines than there are kinds told apart',
          'strangers cannot hide the refusals of a node whose key is proven',
          'goes on in a new file when one is full, keeps so many, and is one chain over all of them',
        ],
      },
      {
        attack: 'a full disk, so that a slash is not carried out',
        defence:
          'a lock-out takes effect before it is written; disk space is reserved for it; admissions stop meanwhile',
        tests: [
          'on a full disk a slashed node goes, its host is told, and it is written down: …',
          'a gateway that starts on a full disk carries out what was slashed meanwhile',
          'the operator evicts and bans on a full disk, and is told what a restart would forget',
          'is used for a lock-out alone, and what lets somebody in is refused until it is back',
        ],
      },
      {
        attack: 'anything else that hangs, so that a slash is not carried out',
        defence:
          'a decision waits for no API server; each step has a deadline; evictions of other nodes do not queue behind it',
        tests: [
          'the API server: while it hangs the host is told to stop',
          '…, which fails for good: the other steps are taken',
          'other evictions that hang',
          'the epoch, when the chain does not tell it',
          'what the chain does not tell of others',
          'does not wait for other work, nor for what is being done for the same key',
        ],
      },
      {
        attack: 'endless replies, to the host',
        defence: 'they are cut off',
        tests: ['a reply without end is cut off'],
      },
      {
        attack: 'so many changes on chain that a slash drops out of its ring',
        defence: 'urgent changes have a ring of their own; a reader that missed entries reads every record',
        tests: [
          'each_kind_of_change_goes_to_its_ring',
          'a flood of ordinary changes does not hide a slash',
          'more … than a ring holds: …',
        ],
      },
    ],
  },
  {
    by: "A local user on the gateway's or the worker's machine",
    attacks: [
      {
        attack: 'leaves a configuration and a plugin where root starts a command',
        defence: 'root searches no working directory, and refuses files that others own or can write',
        tests: ['root runs no code from a directory of a stranger, found or named (needs root)'],
      },
      {
        attack: 'owns or writes a file that decides what root runs, trusts or signs, or a directory above it',
        defence: 'one function reads such files: it judges the open file and every directory up to `/`',
        tests: [
          'is refused when others can write it',
          'is refused when others can write into a directory above it',
          'is refused when another user owns it (needs root)',
          'is refused when another user owns a directory above it (needs root)',
          'is refused through a link of another user in a shared directory (needs root)',
          'is refused with mode 775 of another owner (needs root)',
        ],
      },
      {
        attack: 'puts a pipe in the place of a file, to block a start',
        defence: 'pipes are refused without waiting',
        tests: ['a named pipe in the place of a file is refused at once, not waited for'],
      },
      {
        attack:
          'puts a link in the place of the runtime directory, so that root writes there or closes another directory',
        defence: 'links are refused',
        tests: ['a runtime directory that is a link (…) is refused, neither followed nor closed to others'],
      },
      {
        attack: 'runs processes that look like shims, so that a lock-out never ends',
        defence: 'pods are identified by program and user, not by arguments',
        tests: [
          'a process that only calls itself a shim is no pod: it is neither counted nor killed, and holds no lock-out up',
          'processes of a local user that look like shims, by program too, are no pods (needs root)',
        ],
      },
      {
        attack: "listens on the kubelet's port and answers without end",
        defence: 'replies are read up to a bound',
        tests: [
          'a health check that answers without end is cut off',
          'a server that hands out a CA without end is cut off',
        ],
      },
      {
        attack: 'reads secrets from files',
        defence: 'each secret has a file that only its owner can read; others are refused at start',
        tests: [
          'is refused when others can read it',
          'each secret is in its own file, which only its owner can read, and that file is found',
          'no file holds one but its own: logs at level debug, journals, state, audit, database',
          'that others can read is refused, with the fix',
          'a wallet key that others can read, or that is given twice or not at all, is refused',
          'a runtime directory that others can read is closed',
        ],
      },
      {
        attack: 'reads secrets from argv and environment',
        defence: 'they are in neither',
        tests: [
          'no environment and no command line of any process holds one',
          'a wallet key that the operator gives by the environment is in that one process, and reaches no child',
          'the child gets the environment without our settings, keys and tokens',
        ],
      },
      {
        attack: 'reads secrets from output, logs or replies',
        defence: 'secrets print as `[secret]`; text that looks like one is redacted',
        tests: [
          'refusals, the printed configuration, health and the operator’s list tell none',
          'what workers and gateway say to each other holds none but the credential, in the reply to its own node',
          'a credential that k3s prints is masked before it reaches the log',
          'what looks like a secret is taken out: …',
          '… is no key, and the message does not repeat it',
        ],
      },
      {
        attack: 'finds a join credential that is no longer needed',
        defence: 'it is wiped, also after a crash',
        tests: [
          'a slashed worker’s join credential is wiped',
          'what a host that was killed while it wrote left of the token file is wiped, too',
        ],
      },
      {
        attack: "writes into the gateway's directories, or puts a file in the place of its socket",
        defence: 'such directories are refused; such files are left alone',
        tests: [
          'a directory of … that others may write into is refused',
          'a file in the place of the socket is not removed',
          'state, audit file and socket are for their owner alone',
        ],
      },
      {
        attack: 'replaces the audit file, changes or removes lines, or chains it anew',
        defence:
          'each line carries the hash of the one before and a keyed hash, checkpoints are signed: `audit verify` names the line',
        tests: [
          'finds a chain that somebody without the key has made anew',
          'finds a chain that somebody without the key has made anew as an earlier version would have',
          'finds a chain that somebody has signed with another key',
          'finds that the end is lost, and the gateway says so at its next start',
          'names the line after which one is lost',
          'is a chain: each line carries the hash of the one before, over restarts',
          'begins a new chain on a file it cannot read, and says so by its number',
        ],
      },
      {
        attack: 'damages state, so that bans are forgotten',
        defence: 'unreadable state stops the start',
        tests: ['a damaged … is said so', 'a ban or a breaker that cannot be read does not count as none'],
      },
      {
        attack:
          'puts an earlier state in the place of the newer one, or takes it away, so that bans are forgotten',
        defence:
          'state and audit file remember each other: a gateway on a state that is older than its audit file does not start',
        tests: [
          'a state that was put back as a whole is found at the start: the ban that it has forgotten is not passed over',
          'a state file that was taken away is found, until the operator says that the state is empty',
          'a follower does not take over a state that was put back while it ran',
          'the state remembers the end of the audit file: one that was put back with its newest checkpoint is named',
          'a state that was put back is found where the audit file was set aside and the checkpoint beside it is gone',
          'a checkpoint that was written without the signing key makes no state young',
        ],
      },
      {
        attack:
          'puts state and audit file back together, as a snapshot of the whole machine does, or makes both anew with the stolen signing key',
        defence:
          'with `gateway.audit.anchor` the end of the audit file is on chain: the gateway does not start, and `audit verify` names line, hash and transaction',
        tests: [
          'a state and an audit file that were put back together are found by the anchor on chain',
          'a restore from before the anchor accepts nothing',
          'an audit file that was made anew by a thief of the signing key is found, with the state in its place',
          'an audit file that was made anew behind the anchored line is found',
          'an anchor is older than the files only where the gateway itself has removed the file that had it',
          'a refusal does not wear off: what refused starts write takes no place of the anchored line',
          'nothing is anchored while no full node has shown all',
          'a chain that is silent does not prevent a start, and what it says later counts',
          'a file that a thief of the signing key has made anew is named by the anchored line, its hash and the transaction',
          'a machine that was put back as a whole is found by what its gateway has anchored on chain',
        ],
      },
      {
        attack: 'anchors another end of the audit file, or hides the anchor',
        defence:
          'an anchor counts by the signature of the gateway’s probe wallet, and names cluster and gateway; every full node is asked, and the newest counts',
        tests: [
          'an anchor counts by the signature of the wallet: a full node cannot make one up',
          'an anchor by another wallet does not count, even where it has paid this one',
          'an anchor of another cluster does not count',
          'gateways that share a wallet find their own, also behind the payments of others',
          'a full node that hides the newest anchor is overruled by another that shows it',
          'full nodes that show nothing do not end the check while another has not answered',
          'an anchor that the audit file notes, and no full node shows, is named',
        ],
      },
      {
        attack: 'puts the files back, and writes the anchored hash, or a restore, into the audit file',
        defence:
          'at the start each line has to be what the next one says of it, from the end to the checkpoint before the anchor, and a restore needs the keyed hash of the gateway',
        tests: [
          'a line that only claims the anchored hash does not hold the anchor',
          'the anchored line alone, without the lines before it, does not hold the anchor',
          'a restore that somebody without the signing key has written accepts nothing',
          'a restore of before the anchor accepts nothing, also where the next start writes it down',
          'a line that was changed since ends what is believed',
        ],
      },
      {
        attack:
          'anchors with the stolen key of the probe wallet what lies in the future, so that the gateway never starts again',
        defence:
          'an anchor that is later than now does not refuse the start, and the log asks for a new wallet',
        tests: [
          'an anchor that is later than now does not keep a gateway from starting, and hides none of before',
          'a statement of another gateway, cluster or version, one with more behind it, and plain bytes say nothing',
        ],
      },
      {
        attack: "obtains the gateway's kubeconfig",
        defence: "its rights end where the gateway's work ends",
        tests: [
          'end where its work ends',
          'of Secrets it writes join credentials and node passwords alone, and deletes nobody else’s',
          'the gateway’s credentials write the state in its namespace and nowhere else, nothing else there, and delete none of it',
        ],
      },
      {
        attack: 'forges a mark, so that the gateway touches a foreign object',
        defence: 'only a complete mark counts',
        tests: [
          'a mark that names another node or no record is nobody’s',
          'Nodes that no stake admitted, marked or not, and their Secrets',
          'a token of the operator’s own is neither listed nor revoked',
        ],
      },
      {
        attack: 'runs a second host, gateway or `stake` on the same directory',
        defence: 'a lock, taken over from dead processes only',
        tests: [
          'a second host on the same directory is refused',
          'a second gateway on the same state is refused',
          'of many that race for a stale lock exactly one gets it, every time',
          'two programs with one wallet and two journals make one record',
        ],
      },
    ],
  },
  {
    by: 'Somebody who can read or write the gateway’s state',
    attacks: [
      {
        attack: 'copies the state file, or a backup',
        defence: 'every value is sealed; the keys are elsewhere',
        tests: [
          'a stolen state file shows nothing without the key',
          'a state is verified, backed up and restored, and only somebody with the keys reads the backup',
        ],
      },
      {
        attack: 'puts one record in the place of another, or one of another cluster',
        defence: 'a value opens only for its record, engine and cluster',
        tests: [
          'a swapped record is found at the start',
          'a record of another cluster does not count, although the same key sealed it',
          'a swapped record in etcd is found by who reads all of it',
          'a swapped, an unsealed or a removed Secret of the state is found by who reads all of it',
        ],
      },
      {
        attack: 'alters or cuts a record, or puts in one that is not sealed',
        defence: 'authenticated encryption',
        tests: ['a record that was … is found at the start'],
      },
      {
        attack: 'goes on as the leader after another has taken over: stopped, cut off, or with a late write',
        defence:
          'every write names the leadership and the write before; a lease ends by the leader’s own clock; names get a new version first',
        tests: [
          'a stale leader’s write fails at etcd, although it takes itself for the leader',
          'a leader that etcd does not hear stops leading by itself before another leads, and never leads again',
          'a write that arrives late does not overwrite the one that came after it',
          'a stale leader’s write fails at the API server, although it takes itself for the leader',
          'a leader that the API server does not hear stops leading by itself before another leads, and never leads again',
          'an earlier leader that goes on moving records changes nothing that counts',
          'schedule …: writes are lost, held and answered for nobody while leaders change, and every transaction is there as a whole or not at all',
          'schedule …: the leader meets … at … (after it: …), and the eviction is completed once',
        ],
      },
      {
        attack: 'takes a ban away, or puts a record back to what it was',
        defence: 'a sealed sum over all records is written with each change',
        tests: ['a record that was removed, or put back to what it was earlier, is found at the start'],
      },
    ],
  },
  {
    by: 'Plugins, configuration, and a crash at the wrong moment',
    attacks: [
      {
        attack:
          'hands over a transaction file whose bytes do more than it says, for a wallet elsewhere to sign',
        defence: 'the transaction is built anew from what the file says, and its bytes must be the same',
        tests: [
          'whose bytes do more than they say, or the same with another amount or receiver, is refused before anybody signs',
          'signs no file that says another thing than its bytes do',
          'a file that publishes other bytecode than it says, keeps the upgrade cap, or makes another cluster is refused before anybody signs',
        ],
      },
      {
        attack: 'a command of the staker is killed, so that it pays twice',
        defence: 'what is sent is journaled first, and each transaction ends the state that it starts from',
        tests: [
          'kill -9 during the …, …: it happens once',
          'a whole life that dies again and again, at any call or write, ends with its start minus gas, to the MIST',
          'that is sent twice is carried out once',
          'signed and killed before it is sent is carried out by the next run',
        ],
      },
      {
        attack: 'changes a transaction between its writing and its sending, or signs it with another key',
        defence: 'the bytes must have the digest, the calls and the signatures that belong to them',
        tests: ['that was changed is refused', 'signed by another key, or over other bytes, is refused'],
      },
      {
        attack: 'acts on a stake of another wallet',
        defence: 'judged before anything is signed, and by the contracts',
        tests: ['another wallet is told whose stake it is, before anything is signed'],
      },
      {
        attack: 'uses the file of a fleet machine a second time',
        defence: 'the key leaves the file when it is used, and the file is renamed',
        tests: ['a second machine is refused'],
      },
      {
        attack: 'a flag, variable or k3s config file sets a server, token or name of its own',
        defence: 'refused before anything is staked',
        tests: [
          'a flag that is ours is refused: …',
          'the environment variable … is refused by name, without its value',
          'the key … in a k3s config file is refused with the file it stands in',
          'the data directory is the one of k3s, and what is ours is refused: …',
          'what k3s refuses is refused before the stake: …',
        ],
      },
      {
        attack:
          'a token is where k3s would not take it for one: joined with its flag, behind another flag, as a stray word',
        defence: 'refused without being repeated, before k3s sees it',
        tests: ['a secret among the arguments is refused without being repeated'],
      },
      {
        attack: 'a plugin adds a flag that changes what was checked before the stake',
        defence: 'refused',
        tests: ['a plugin may not change what was judged before the stake: …'],
      },
      {
        attack: 'a plugin sets a flag that belongs to the host',
        defence: 'refused',
        tests: ['a plugin may not set what is ours either'],
      },
      {
        attack: 'a plugin for another version of the contract is loaded',
        defence: 'refused before its code runs',
        tests: ['a package for another version of the contract is refused before any of its code runs'],
      },
      {
        attack: 'a plugin hangs or fails',
        defence: 'deadlines; an isolated plugin is left out, the others are released',
        tests: [
          'a setup that hangs is ended by its deadline',
          'a call without a signal is ended by its deadline',
          'an isolated plugin that fails is left out; one the host cannot do without may not be isolated',
        ],
      },
      {
        attack:
          'text from the chain, a gateway, k3s, Kubernetes or a plugin steers the terminal, forges a line, or reverses direction',
        defence: 'control and direction characters are escaped wherever text is shown',
        tests: [
          '… is spelled out',
          'JSON with … is the same value, and safe to print',
          'what others wrote does not move the cursor of a terminal (…)',
          '… that others wrote does not move the cursor of a terminal',
          'an error that others wrote does not move the cursor, and its lines never look like ours',
          'a cell of a table is one line, whatever stands in it',
        ],
      },
      {
        attack: 'a password in a URL reaches logs or the command line of every agent',
        defence: 'such URLs are refused and not repeated',
        tests: ['a password in the URL of … is refused without telling it'],
      },
      {
        attack: "a secret is in a plugin's section, or a mistake stands beside one",
        defence: 'error messages do not quote it',
        tests: [
          'a section that was given the secret itself is refused without telling it',
          'a mistake in … is told without the lines around it: …',
        ],
      },
      {
        attack: 'a host is killed, so that it stakes twice',
        defence: 'signed bytes are journaled before they are sent',
        tests: [
          'killed before stake and Seal token are sent',
          'killed after stake and Seal token are sent in one transaction, before its answer',
          'a death at any moment of a life, before or after any call and any write, costs one stake …',
        ],
      },
    ],
  },
  {
    by: 'The contracts: a staker',
    attacks: [
      {
        attack: "withdraws before the unlock time, twice, or another staker's coins",
        defence: 'the record keeps time and staker',
        tests: ['nothing_comes_back_a_moment_earlier', 'a_stake_is_withdrawn_once', 'nobody_else_withdraws'],
      },
      {
        attack: 'unstakes, tops up or mints for another staker',
        defence: 'the same',
        tests: [
          'nobody_else_unstakes',
          'nobody_else_tops_up',
          'nobody_else_mints_from_a_stake',
          'nobody_else_rotates',
        ],
      },
      {
        attack: 'unstakes before a slash',
        defence: 'an unbonding stake can be slashed too',
        tests: ['an_unbonding_stake_is_slashed_and_its_times_stay', 'an_open_proposal_holds_a_withdrawal'],
      },
      {
        attack: 'tops up, to dodge a proposal',
        defence: 'top-ups are held while a proposal is open',
        tests: ['a_top_up_cannot_dodge_an_open_proposal'],
      },
      {
        attack: 'mints from a stake that is slashed, unbonding or too low, or a second token',
        defence: 'refused',
        tests: [
          'a_slashed_record_gets_no_token',
          'an_unbonding_stake_gets_no_token',
          'a_stake_below_a_raised_minimum_gets_no_token',
          'a_record_has_one_token',
        ],
      },
      {
        attack: "takes more permissions than its tier grants, or a worker token from a user's stake",
        defence: 'the tiers',
        tests: [
          'a_worker_gets_no_more_than_a_worker_needs',
          'the_tiers_hold_at_their_exact_edges',
          'a_user_stake_gets_no_worker_token',
        ],
      },
      {
        attack: 'keeps permissions of a tier that a slash or a change took away',
        defence: 'a token counts while each of its permissions is still granted',
        tests: [
          'a_token_that_says_more_than_its_stake_is_worth_counts_no_more',
          'a_token_counts_under_the_tiers_in_force',
        ],
      },
      {
        attack: 'uses a record or token in another cluster',
        defence: 'both name their cluster',
        tests: [
          'another_cluster_gives_no_token',
          'a_token_is_not_rotated_in_another_cluster',
          'a_withdrawal_needs_the_records_own_cluster',
        ],
      },
      {
        attack: 'overflows an amount',
        defence: 'bounds are checked before sums',
        tests: [
          'a_coin_of_all_bits_is_refused',
          'a_top_up_of_all_bits_is_refused',
          'a_slash_of_all_bits_is_refused',
        ],
      },
      {
        attack: 'stakes for a name that Kubernetes reads differently',
        defence: 'node ids are DNS labels',
        tests: ['node_ids_are_dns_labels', 'a_dotted_node_id_is_refused'],
      },
      {
        attack: 'sells the token',
        defence: 'it cannot be transferred',
        tests: ['a token that has only key cannot be transferred'],
      },
    ],
  },
  {
    by: 'The contracts: a slasher',
    attacks: [
      {
        attack: 'slashes alone despite a threshold, or votes twice',
        defence: 'each slasher counts once',
        tests: ['the_proposer_votes_once', 'a_voter_votes_once', 'a_stranger_does_not_vote'],
      },
      {
        attack: 'votes after removal, or before appointment',
        defence: 'only those count who were slashers at the proposal and still are',
        tests: [
          'a_removed_slasher_does_not_vote',
          'the_vote_of_a_removed_slasher_counts_no_more',
          'who_became_a_slasher_later_has_no_say',
        ],
      },
      {
        attack: 'slashes in another cluster, or another record than the proposed one',
        defence: 'both are compared',
        tests: [
          'a_slasher_of_another_cluster_proposes_nothing_here',
          'a_slasher_of_another_cluster_does_not_vote_here',
          'a_proposal_slashes_no_other_record',
        ],
      },
      {
        attack: 'executes a proposal twice, or after its life',
        defence: 'state and time are checked',
        tests: ['a_proposal_is_carried_out_once', 'a_vote_at_the_end_of_the_life_is_too_late'],
      },
      {
        attack: 'takes more than there is',
        defence: 'the remaining stake is the bound',
        tests: [
          'a_slash_of_more_than_there_is_is_refused',
          'a_slash_takes_no_more_than_an_earlier_one_has_left',
        ],
      },
      {
        attack: 'blocks a withdrawal for ever, by proposal after proposal',
        defence: 'holds end after a quarter of the unbonding time',
        tests: [
          'no_pair_of_slashers_holds_a_withdrawal_longer',
          'a_hold_ends_with_the_quarter_of_the_records_own_unbonding_time',
        ],
      },
      {
        attack: "blocks another slasher's proposal",
        defence: 'each slasher has an own proposal',
        tests: ['nobody_blocks_the_proposal_of_another'],
      },
      {
        attack: 'writes a reason that paints over the text another slasher is asked to approve',
        defence: 'control characters are escaped',
        tests: [
          'a reason cannot move the cursor of a terminal, break a line or turn the direction of the text',
        ],
      },
    ],
  },
  {
    by: 'The contracts: the admin',
    attacks: [
      {
        attack: 'slashes',
        defence: 'the admin is no slasher',
        tests: ['the_admin_proposes_nothing'],
      },
      {
        attack: 'forces an unstake to get the coins',
        defence: 'they go back to the staker',
        tests: ['the_admin_forces_an_unstake_and_gets_nothing', 'an_admin_does_not_force_in_other_clusters'],
      },
      {
        attack: 'changes the rules and slashes by them before stakers can leave',
        defence: 'changes take effect after the unbonding time and a day',
        tests: [
          'a_change_counts_after_the_unbonding_time_and_a_day',
          'a_leaving_staker_is_out_of_reach_of_an_unwanted_change',
          'the_threshold_is_not_lowered_at_once',
          'a_threshold_lowered_later_does_not_help_a_proposal',
        ],
      },
      {
        attack: 'changes the rules just before a stake or a top-up lands',
        defence: 'stake and top-up name the version of the terms that the staker has seen',
        tests: ['a_stake_on_older_terms_is_refused', 'a_top_up_on_older_terms_is_refused'],
      },
      {
        attack:
          'shortens the unbonding time, forces stakes out under the long one, then appoints slashers within a day',
        defence: 'no change takes effect before everybody who unbonds under earlier terms is out',
        tests: [
          'no_shortened_unbonding_time_brings_an_unbonding_stake_into_the_reach_of_later_slashers',
          'after_a_shortened_unbonding_time_the_next_change_waits_for_those_who_unbond_under_the_longer',
        ],
      },
      {
        attack: 'names a treasury that has not agreed, or burns the coins',
        defence: 'the treasury must accept first',
        tests: [
          'a_treasury_that_has_not_accepted_never_counts',
          'nobody_accepts_for_the_new_treasury',
          'a_treasury_that_would_burn_coins_is_refused',
        ],
      },
      {
        attack: 'sets parameters under which nothing works',
        defence: 'every parameter has bounds',
        tests: [
          'parameters_under_which_no_worker_could_join_are_refused',
          'a_minimum_above_the_largest_stake_is_refused',
        ],
      },
      {
        attack: 'a stranger acts as admin, or the former admin goes on',
        defence: 'the role is handed over in two steps',
        tests: [
          'nobody_else_offers_the_role',
          'an_offer_is_for_one_address',
          'the_old_admin_has_lost_the_role',
          'nobody_else_registers_a_gateway',
          'nobody_else_schedules',
        ],
      },
    ],
  },
  {
    by: 'Somebody at the API server, with a login that is not theirs or counts no more',
    attacks: [
      {
        attack:
          'shows a login of another cluster, of another wallet, key or package, a worker’s token, or a public id',
        defence:
          'a login is signed for one cluster by the key that the chain names for the wallet; all others get the same answer',
        tests: ['… is no login', '… is refused by its form'],
      },
      {
        attack: 'goes on after a slash, a revocation, a rotation or the end of the token',
        defence: 'the facts follow the change rings; the API server keeps an answer for 20 s at most',
        tests: [
          'a slash ends the login at the next question',
          'a full node that lags behind a slash is asked once more',
          'a slash ends it: a new kubectl at once, a login in use within the caches; what is open stays open',
        ],
      },
      {
        attack: 'replays a login that it has seen',
        defence: 'it counts for ten minutes at most, in one cluster: documented',
        tests: ['a login that was seen can be shown again within its life, and not beyond'],
      },
      {
        attack: 'becomes a user or group of Kubernetes itself by a permission or a wallet',
        defence: 'every name begins with seal:, and what is no permission grants nothing',
        tests: [
          'nothing that is on chain becomes a user or group of Kubernetes itself',
          'a permission is resource:verb, as the contracts have it',
        ],
      },
      {
        attack: 'floods the gateway with logins, so that others wait or the chain is asked without end',
        defence:
          'unknown tokens share a budget of look-ups; those that counted once need none of it, also after a restart; a known token under another key is refused from memory; nothing is answered but 200',
        tests: [
          'of a thousand strangers’ tokens a budget is looked up; who was let in before needs none of it',
          'a stranger who signs with a key of their own makes no look-up by a token that is known, whoever holds it',
          'who was let in before a restart needs no budget after it, however many strangers come first',
          'logins that count take no place of proven refusals in the audit file',
          '… is answered with 200 and no user',
        ],
      },
      {
        attack: 'works in the namespace of another wallet, or beyond what the tier grants',
        defence:
          'bindings name a group that only the wallet is in, and only while its stake carries the permission',
        tests: [
          'another wallet sees nothing of it: the groups of a permission are bound in no namespace',
          'what the tier does not grant is refused by name, in other namespaces everything',
          'a partial slash takes a right back and a top-up gives it again, without a new login',
        ],
      },
      {
        attack: 'runs pods on a server of the operator’s, or as root',
        defence: 'a policy on the label of the namespace, and Pod Security',
        tests: ['a pod that would run on a server, or as root, is refused with what it needs'],
      },
      {
        attack: 'takes over the identity that makes the namespaces',
        defence:
          'it binds shipped roles by name alone, a policy holds it to labelled namespaces, and it reads no Secret',
        tests: [
          'the keeper of the namespaces makes no other namespace, binds no other role, and reads no Secret',
          'the keeper binds nobody but the owner of a namespace, and no role that is not shipped',
          'the keeper takes no namespace that is not a wallet’s, and weakens none',
        ],
      },
      {
        attack: 'takes the traffic of others by a Service with external addresses or a port of the nodes',
        defence: 'a policy: Services of people are of type ClusterIP, without externalIPs',
        tests: [
          'an owner opens no port of the nodes and takes no address, whatever they may do in their namespace',
        ],
      },
      {
        attack: 'takes the traffic of another’s host by an Ingress that names it, or none',
        defence: 'a policy: hosts in Ingresses of people have the name of their namespace as a label',
        tests: ['an owner takes no host of an ingress that is not of their namespace'],
      },
      {
        attack: 'takes off the limits of their own namespace, or opens its network, as its admin',
        defence:
          'a policy keeps what the gateway has made, and network policies that lead out; the gateway restores what is missing',
        tests: [
          'an owner takes off none of their limits, and opens their network to nobody outside',
          'what an administrator has deleted or changed is restored, without a login',
        ],
      },
      {
        attack: 'writes a StakedNode, so that a stake looks better than it is',
        defence: 'a policy: the gateway alone writes them, and nothing reads them',
        tests: [
          'kubectl get sn shows stake and state of the workers, and nobody but the gateway writes them',
        ],
      },
      {
        attack: 'keeps a right that the operator has mapped away',
        defence:
          'a binding to another role than the permission is mapped to now is deleted, in all namespaces',
        tests: [
          'another role of a permission, or none, takes back what namespaces have',
          'another placement and level of Pod Security reach the namespaces that are there',
        ],
      },
      {
        attack: 'reads join credentials from the cluster, guesses one, or uses one that was revoked',
        defence: 'with the webhook they are hashes in the gateway, which asks its workers at each use',
        tests: [
          'is answered as Kubernetes answers a bootstrap token, and is in no Secret',
          'with … it is nobody’s',
          'is dead at once when its node is Ready, when its stake is slashed, and at its end',
          'is written down as revoked when its node is evicted, once',
          'a second registration ends the first one’s',
          'a worker joins with a credential that is in no Secret, and that counts no longer once it is Ready',
        ],
      },
      {
        attack: 'asks the gateway itself, on the API server’s machine',
        defence: 'the listener takes one client certificate, which root and the gateway alone can read',
        tests: ['only the API server’s key opens the listener'],
      },
    ],
  },
];
