# For users of Nix: `nix run . -- arch4 --role web1`, `nix develop`.
# The program is the same as cargo's; what it puts into images never comes from Nix,
# but from its own locked closure of Debian packages.
{
  description = "Compiles the servers of six small web architectures into bootable, immutable, reproducible Debian images";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      # Images are of x86-64, and their QEMU and dpkg run as they are.
      system = "x86_64-linux";
      pkgs = nixpkgs.legacyPackages.${system};
      manifest = (builtins.fromTOML (builtins.readFile ./Cargo.toml)).package;

      imagebuild = pkgs.rustPlatform.buildRustPackage {
        pname = manifest.name;
        version = manifest.version;
        src = self;
        cargoLock.lockFile = ./Cargo.lock;
        # They boot machines and build images from Debian's archive: `cargo test`.
        doCheck = false;
        meta = {
          description = manifest.description;
          license = with pkgs.lib.licenses; [
            mit
            asl20
          ];
          mainProgram = manifest.name;
          platforms = [ system ];
        };
      };
    in
    {
      packages.${system} = {
        inherit imagebuild;
        default = imagebuild;
      };

      apps.${system}.default = {
        type = "app";
        program = "${imagebuild}/bin/${manifest.name}";
        meta.description = manifest.description;
      };

      devShells.${system}.default = pkgs.mkShell {
        inputsFrom = [ imagebuild ];
        # Beside cargo and a compiler; what the tests compare with is in the lock.
        packages = with pkgs; [
          cargo-deny
          clippy
          rust-analyzer
          rustfmt
        ];
      };

      formatter.${system} = pkgs.nixfmt-rfc-style;
    };
}
