"""The runtimes that Ingot is measured against, one file each. Every one runs in a process of its own (worker.py)."""
from peers.litert_peer import LiteRTPeer
from peers.llamacpp_peer import LlamaCppPeer
from peers.ncnn_peer import NcnnPeer
from peers.onnxruntime_peer import OnnxRuntimePeer
from peers.openvino_peer import OpenVINOPeer, OpenVINOBf16Peer

# In the order of the tables' columns.
PEERS = {peer.key: peer for peer in (OnnxRuntimePeer, OpenVINOPeer, NcnnPeer, LiteRTPeer, LlamaCppPeer, OpenVINOBf16Peer)}
