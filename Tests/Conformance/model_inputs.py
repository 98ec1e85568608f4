"""The names of an ONNX model's inputs, read from the file without the onnx package."""


def fields(data):
    """(number, value) of each field of a protobuf message; messages and strings as bytes."""
    position = 0

    def varint():
        nonlocal position
        value = shift = 0
        while True:
            byte = data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while position < len(data):
        key = varint()
        wire = key & 7
        if wire == 0:
            value = varint()
        elif wire == 2:
            length = varint()
            value = data[position:position + length]
            position += length
        else:
            length = 8 if wire == 1 else 4
            value = data[position:position + length]
            position += length
        yield key >> 3, value


def input_names(path):
    """In the order of the data sets' files: initializers that are listed among the inputs are left out."""
    with open(path, "rb") as file:
        graph = next(value for number, value in fields(memoryview(file.read())) if number == 7)
    constants, names = set(), []
    for number, value in fields(graph):
        if number in (5, 11):
            text = next((bytes(part).decode() for field, part in fields(value) if field == (8 if number == 5 else 1)), "")
            (constants.add if number == 5 else names.append)(text)
    return [name for name in names if name not in constants]
