import Serving
@main struct Main { static func main() {} }
