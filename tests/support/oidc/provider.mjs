// An OpenID provider on 127.0.0.1 for one client: node provider.mjs FOLDER PORT URL, where FOLDER has the node_modules
// and URL is the page's. Whoever signs in as "x" has the roles of "x" below, and is asked for no password.
import { pathToFileURL } from "node:url";

const [folder, port, url] = process.argv.slice(2);
const { default: Provider } = await import(pathToFileURL(`${folder}/node_modules/oidc-provider/lib/index.js`));
const ROLES = { olga: ["staff", "mammo-operators"], vera: "mammo-viewers", nobody: ["staff"] };

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{
    client_id: "mammo-node",
    client_secret: "a secret of the node",
    redirect_uris: [`${url}/sign-in/provider/back`],
    post_logout_redirect_uris: [`${url}/sign-in`],
  }],
  pkce: { required: () => true },
  claims: { openid: ["sub"], profile: ["preferred_username", "groups"] },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, preferred_username: id, groups: ROLES[id] }),
  }),
});
provider.listen(Number(port), "127.0.0.1", () => console.log("ready"));
