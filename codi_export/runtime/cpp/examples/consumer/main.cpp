// What a bundle is: app BUNDLE
#include <codi.hpp>
#include <iostream>

int main(int argc, char** argv) {
    if (argc != 2) return std::cerr << "usage: " << argv[0] << " BUNDLE\n", 2;
    try {
        std::cout << codi::Session(argv[1]).inspect() << "\n";
    } catch (const codi::Error& error) {
        return std::cerr << error.what() << "\n", 1;
    }
}
